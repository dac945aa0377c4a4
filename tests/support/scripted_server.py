"""An HTTP server whose answers a test gives."""

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    method: str
    path: str
    body: bytes
    at: float = field(default_factory=time.monotonic)
    conditional: bool = False
    """Asked for only where nothing is there: If-None-Match."""


class Scripted:
    """An HTTP server on a free port that answers what *answer* says: (status, headers, body)."""

    def __init__(self, answer, tls=None):
        self.requests = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits 40 ms for its headers' receipt

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(
                    self.command, self.path, body, conditional="If-None-Match" in self.headers
                )
                scripted.requests.append(request)
                status, headers, content = answer(request)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                """A client that goes away, or that refuses our certificate, is not our failure."""

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.endpoint}/api/RealTimeTotalLoad"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
