"""Start `scrapy` in a process that is forked from one that has imported its libraries already.

Of the 1.6 s of CPU that a run of one candidate takes, 1.3 s are imports, and 0.1 s is the end of the
interpreter, which is left out, too. The server that forks is warm_start_server.py. A run has a pid,
signals, streams and an exit status of its own, and imports the project itself. Use subprocess for what
needs a new interpreter: a terminal, a limit, a PYTHON... variable, or a FAKETIME, which counts from
its start.
"""

import contextlib
import functools
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.project import SCRAPY

SERVER = Path(__file__).with_name("warm_start_server.py")
# What libfaketime and its loader read as a process starts: each of their values has a server.
READ_AT_START = ("LD_PRELOAD", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC")


def run(args, *, timeout=None, **options):
    """Run *args* to its end, as subprocess.run does."""
    with Process(args, **options) as process:
        try:
            output, errors = process.communicate(timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(args, process.returncode, output, errors)


def shell(command, *, timeout=None, **options):
    """Run *command* as a shell does; one that is only `scrapy` and its arguments has a warm start."""
    options |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if re.fullmatch(r"scrapy [\w ./:=-]+", command):
        return run([SCRAPY, *command.split()[1:]], timeout=timeout, **options)
    return subprocess.run(["bash", "-c", command], timeout=timeout, text=True, **options)


class Process:
    """A running Python script and its arguments, *args*. Pipes are text.

    Its parameters, attributes and methods mean what they mean in subprocess.Popen.
    """

    def __init__(
        self, args, *, cwd, env, stdin=None, stdout=None, stderr=None, start_new_session=False
    ):
        self.args = args
        self.returncode = None
        self._report, theirs = socket.socketpair()
        with contextlib.ExitStack() as passed:  # closed here, open in the process
            passed.enter_context(theirs)
            _, read_from = _stream(stdin, 0, passed)
            self.stdout, write_to = _stream(stdout, 1, passed)
            if stderr == subprocess.STDOUT:
                self.stderr, complain_to = None, write_to
            else:
                self.stderr, complain_to = _stream(stderr, 2, passed)
            descriptors = [theirs.fileno(), read_from, write_to, complain_to]
            names = READ_AT_START if env.get("LD_PRELOAD") else ()
            _, control = _server(*((name, env[name]) for name in names))
            socket.send_fds(control, [b"."], descriptors)
        self._read = {stream: b"" for stream in (self.stdout, self.stderr) if stream}
        request = [[os.fspath(arg) for arg in args], os.fspath(cwd), {**env}, start_new_session]
        self._report.sendall(json.dumps(request).encode() + b"\n")
        self.pid = self._reported()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for stream in self._read:
            stream.close()
        self.wait()

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            self._report.settimeout(timeout)
            try:
                status = self._reported()
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(self.args, timeout) from None
            self._report.close()
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def communicate(self, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout

        def left():
            return None if deadline is None else max(0, deadline - time.monotonic())

        with selectors.DefaultSelector() as selector:
            for stream in self._read:
                if not stream.closed:
                    selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(left())
                if not ready:
                    raise subprocess.TimeoutExpired(self.args, timeout)
                for key, _ in ready:
                    part = os.read(key.fd, 65536)
                    self._read[key.fileobj] += part
                    if not part:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
        self.wait(left())
        read = (self._read.get(stream) for stream in (self.stdout, self.stderr))
        return tuple(text if text is None else text.decode() for text in read)

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def _reported(self):
        """Receive a number: first the pid, then the status as of os.waitpid."""
        number = self._report.recv(4)
        assert number, "the server has ended"
        return int.from_bytes(number, "big")


def _stream(given, own, passed):
    """Return the file to read of a pipe, or None, and the descriptor for the process.

    *given* is as for subprocess.Popen; None means the descriptor *own* of this process. What is opened
    for the process is added to *passed*, an ExitStack.
    """
    if given is None:
        return None, own
    if given == subprocess.DEVNULL:
        return None, passed.enter_context(open(os.devnull, "r+b", buffering=0)).fileno()
    if given == subprocess.PIPE:
        reading, writing = os.pipe()
        passed.callback(os.close, writing)
        return open(reading, encoding="utf-8"), writing
    return None, given.fileno()


@functools.cache
def _server(*read_at_start):
    """Start the server with these variables, once: return its process and what takes its requests."""
    control, theirs = socket.socketpair()
    runs_own = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in runs_own}
    environment.update(read_at_start)
    with theirs:
        command = [sys.executable, SERVER, str(theirs.fileno())]
        server = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])
    _servers.append((server, control))
    return server, control


_servers = []


def stop():
    """Stop the servers that there are."""
    while _servers:
        server, control = _servers.pop()
        control.close()
        server.wait()
    _server.cache_clear()
