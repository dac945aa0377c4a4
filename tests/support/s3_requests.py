"""A proxy before S3 that writes down what is asked."""

import re
import threading
from urllib.parse import unquote

from tests.support.tcp_proxy import Proxy

REQUEST = re.compile(rb"(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP/1\.1\r\n")


class CountingProxy(Proxy):
    """Adds (method, path with query) of every request to `.requests`.

    From `.stop_at(method, n)` on, the n-th such request and all that follow get no answer, and
    `.stopped` is set: as if the network was gone at that moment.
    """

    def __init__(self, target, port=0):
        self.requests = []
        self.stopped = threading.Event()
        self._stop = None
        super().__init__(target, port)

    def stop_at(self, method, n, *, answered):
        """With *answered*, the n-th request is carried out, and its answer is lost."""
        self._stop = [method, n, answered]
        self.stopped.clear()

    def go_on(self):
        self._stop = None
        self.turn("pass")

    def of(self, method):
        """The paths that *method* asked for so far."""
        return [path for asked, path in self.requests if asked == method]

    def _count(self, block, *, answered):
        match = REQUEST.match(block)
        if match and not answered:
            self.requests.append((match[1].decode(), unquote(match[2].decode())))
        if (
            match
            and self._stop
            and self._stop[0] == match[1].decode()
            and self._stop[2] == answered
        ):
            self._stop[1] -= 1
            if self._stop[1] == 0:
                self._stop = None
                self._turn("hang")
                self.stopped.set()
        super()._count(block, answered=answered)
