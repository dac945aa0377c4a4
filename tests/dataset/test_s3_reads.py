"""How the objects of a bucket are read."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread

import pytest

from miso_scrapy.store.s3 import S3Store

AT_ONCE = 32


@pytest.fixture
def patient_server():
    """A server that answers no request before 32 are there."""
    together = Barrier(AT_ONCE, timeout=5)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            together.wait()
            body = self.path.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 100

        def handle_error(self, *args):  # of a barrier that broke: the test fails
            pass

    server = Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_32_objects_are_requested_at_once_and_come_in_order(patient_server):
    store = S3Store.from_settings(
        {
            "S3_BUCKET": "bucket",
            "AWS_ENDPOINT_URL": patient_server,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION_NAME": "us-east-1",
        }
    )
    keys = [f"key-{number}" for number in range(2 * AT_ONCE)]
    assert list(store.get_all(keys)) == [f"/bucket/{key}".encode() for key in keys]
