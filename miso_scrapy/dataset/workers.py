"""Spread work over this process, all the cores of this machine, or a Dask cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from threading import Thread
from typing import Any

_TIMEOUT = 10  # seconds

Map = Callable[..., Iterator[Any]]


class ClusterUnavailable(Exception):
    """The Dask cluster cannot do the work. The message is one line, and says what to do."""


@contextmanager
def workers(tasks: int, dask: str | None = None) -> Iterator[Map]:
    """Yield a ``map`` that spreads its calls over workers, and returns their results in order.

    *tasks* is the number of calls. *dask* is the address of a scheduler. Without it, the calls run in a
    process per core, or in this process if they are few. Raises ClusterUnavailable.
    """
    if dask:
        with _cluster(dask) as executor:
            yield executor.map
        return
    number = min(_cores(), tasks // _FEW)
    if number < 2:
        yield map
        return
    # Arrow and boto3 have threads, so fork is not safe. The fork server imports the modules once for all
    # worker processes.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "miso_scrapy.dataset.export"])
    _start_server()
    pool = ProcessPoolExecutor(number, context, initializer=_follow_parent)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _start_server() -> None:
    """Start the fork server with SIGINT blocked.

    The worker processes inherit this, so that Ctrl-C does not interrupt them while they start.
    """
    resource_tracker.ensure_running()  # before the block: it unblocks SIGINT when it starts
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


_FEW = 4  # days; reading them takes as long as starting a process


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    from distributed import CancelledError, Client, KilledWorker
    from distributed.comm.addressing import parse_address
    from distributed.comm.core import CommClosedError
    from distributed.comm.registry import get_backend

    # The client logs errors with a traceback, and raises them too: the exception is enough.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        get_backend(parse_address(address)[0])  # with an unknown scheme, the client would not close
        client = Client(address, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterUnavailable(
            f"the Dask scheduler at {address} cannot be reached: {error}; check --dask"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_TIMEOUT)
            yield client.get_executor(pure=False)
        except TimeoutError as error:
            raise ClusterUnavailable(
                f"the Dask scheduler at {address} has no workers: start dask worker {address}"
            ) from error
        except ModuleNotFoundError as error:
            raise ClusterUnavailable(
                f"a Dask worker at {address} lacks a module: {error}; install this project and "
                "requirements-dataset.txt there"
            ) from error
        except (CancelledError, CommClosedError, KilledWorker) as error:
            reason = " ".join(str(error).split())
            raise ClusterUnavailable(
                f"the Dask cluster at {address} failed: {reason}; look at its workers' logs"
            ) from error


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _follow_parent() -> None:
    """Ignore Ctrl-C, and end this process when its parent ends.

    The parent handles Ctrl-C, and cancels the calls that have not started. Without this, a pool's
    processes would wait for work forever after their parent was killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
