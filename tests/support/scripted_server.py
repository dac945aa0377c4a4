"""What some tests need beyond servers.py: answers of their own, runs in the background."""

import contextlib
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.conftest import SCRAPY
from tests.support import warm_start


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


def live_body(feed):
    """The bytes that *feed* answers at its clock."""
    with urllib.request.urlopen(feed.url) as answer:
        body = answer.read()
    feed.requests.clear()
    return body


@contextlib.contextmanager
def started(cwd, environment, *args):
    """Start `scrapy crawl miso_rtload ARGS...`: a process with its output, as text, in `.stdout`."""
    # What is loaded first of all needs an interpreter of its own.
    popen = subprocess.Popen if "LD_PRELOAD" in environment else warm_start.Popen
    process = popen(
        [SCRAPY, "crawl", "miso_rtload", *args],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        process.stdout.close()


def read_until(process, text, times=1):
    """Read the output of *process* up to the line that holds *text* for the so-manieth time."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        times -= text in line
        if not times:
            return seen
    raise AssertionError(f"{text!r} was never logged:\n{''.join(seen)}")


def wait_for(event, process):
    """Wait until *event* is set; a process that ended will not set it any more."""
    while not event.wait(0.1):
        assert process.poll() is None, process.stdout.read()
