"""Spread work over this process, all the cores of this machine, or a Dask cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing import forkserver, resource_tracker
from threading import Thread
from typing import Any

logger = logging.getLogger(__name__)

_TIMEOUT = 10  # seconds

Map = Callable[..., Iterator[Any]]


class ClusterUnavailable(Exception):
    """The Dask cluster cannot do the work. The message is one line, and says what to do."""


@contextmanager
def workers(tasks: int, dask: Any = None) -> Iterator[Map]:
    """Yield a ``map`` that spreads its calls over workers, and returns their results in order.

    *tasks* is the number of calls. *dask* is what ``distributed.Client`` takes, the address of a
    scheduler or a cluster; or a client, which stays open. Without it, the calls run in a process per
    core, or in this process if they are few. Raises ClusterUnavailable.
    """
    if dask:
        with _cluster(dask) as spread:
            yield spread
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
def _cluster(dask: Any) -> Iterator[Map]:
    from distributed import CancelledError, Client, KilledWorker
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import NoValidWorkerError

    ours = not isinstance(dask, Client)
    client = _connected(dask) if ours else dask
    address = dask if isinstance(dask, str) else client.scheduler.address
    with client if ours else nullcontext():
        try:
            yield partial(_spread, client, address)
        except ModuleNotFoundError as error:
            raise ClusterUnavailable(
                f"a Dask worker at {address} lacks a module: {error}; install this project and "
                "requirements-dataset.txt there"
            ) from error
        except NoValidWorkerError as error:  # after distributed.scheduler.no-workers-timeout
            raise ClusterUnavailable(
                f"the Dask scheduler at {address} has no workers: start dask worker {address}"
            ) from error
        except (CancelledError, CommClosedError, KilledWorker) as error:
            reason = " ".join(str(error).split())
            raise ClusterUnavailable(
                f"the Dask cluster at {address} failed: {reason}; look at its workers' logs"
            ) from error


def _connected(dask: Any) -> Any:
    """Return a client of the scheduler at the address *dask*, or of the cluster *dask*."""
    from distributed import Client

    # The client logs errors with a traceback, and raises them too: the exception is enough.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        if isinstance(dask, str):
            _check_address(dask)
        return Client(dask, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TypeError, TimeoutError) as error:
        raise ClusterUnavailable(
            f"the Dask scheduler at {dask} cannot be reached: {error}; check --dask"
        ) from error


def _check_address(address: str) -> None:
    """Raise an error if *address* is not one to connect to.

    The client would raise one too, but its thread would not end.
    """
    from distributed import Security
    from distributed.comm.addressing import parse_address, resolve_address
    from distributed.comm.registry import get_backend

    scheme = parse_address(address)[0]
    get_backend(scheme).get_connector()
    resolve_address(address)
    if scheme in ("tls", "wss") and not Security().get_connection_args("client")["ssl_context"]:
        raise ValueError(
            "it needs certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE and "
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and __KEY"
        )


def _spread(
    client: Any, address: str, function: Callable[..., Any], *arguments: Iterable[Any]
) -> Iterator[Any]:
    """Submit all calls of *function*, and return an iterator over their results.

    A cluster that scales starts its workers for the calls that wait. So this waits for workers without
    a limit, and says so once.
    """
    futures = deque(client.map(function, *map(list, arguments), pure=False))
    told = False

    def tell() -> None:
        nonlocal told
        if futures and not told and not client.nthreads():
            told = True
            logger.warning(
                "the Dask scheduler at %s has no workers: waiting for them. If the cluster does not "
                "start them itself, start dask worker %s",
                address,
                address,
            )

    def results() -> Iterator[Any]:
        try:
            while futures:
                try:
                    result = futures[0].result(timeout=_TIMEOUT)
                except TimeoutError:
                    if futures[0].done():  # it is the call's own error
                        raise
                    tell()
                    continue
                futures.popleft()  # the cluster can forget it
                yield result
        finally:
            client.cancel(list(futures))

    tell()
    return results()


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
