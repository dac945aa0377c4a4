"""The store in a directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from stat import S_ISDIR

from miso_scrapy.store import AccessDenied, Entry, Stored, StoreUnavailable

# In seconds. No write takes an hour: older temporary files are of runs that were killed.
_LEFT_BEHIND = 3600


class DirectoryStore:
    """Files below *root*. A file gets its final name when it is complete, not before."""

    def __init__(self, root: Path, *, setting: str = "MISO_DATA_DIR") -> None:
        self.root = root
        self._partial = root / ".partial"
        self._setting = setting  # that names the root, for messages

    def check(self, *, to_write: bool = True) -> None:
        """Raise StoreUnavailable if the root cannot be written to (or read, if not *to_write*)."""
        if not to_write:
            with self._explained("cannot be read"), os.scandir(self.root):
                return
        with self._explained("cannot be written to"):
            _make_directory(self._partial)
            if not os.access(self._partial, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            for left_behind in self._partial.iterdir():  # of runs that were killed
                with contextlib.suppress(FileNotFoundError):  # a living run has removed it
                    if time.time() - left_behind.stat().st_mtime > _LEFT_BEHIND:
                        left_behind.unlink()

    def put(
        self,
        key: str,
        body: bytes,
        metadata: Mapping[str, str],
        *,
        overwrite: bool = False,
        sidecar: bool = False,
    ) -> Stored:
        """Store *body* under *key*; *metadata* only with *sidecar*: documents contain theirs."""
        if sidecar:  # first, so that every file has its metadata
            self.put(_sidecar(key), json.dumps(metadata).encode(), {})
        path = self._path(key)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        with self._written(key, body) as temporary:
            if overwrite:
                temporary.replace(path)
                created = True
            else:
                created = _link(temporary, path)
        return Stored(str(path), etag, created)

    def replace(self, key: str, body: bytes, version: str | None) -> str | None:
        """Store *body* under *key* if that still has *version*. A lock makes it one step."""
        path = self._path(key)
        with self._written(key, body) as temporary, (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed, or the process ends
            try:
                old = path.stat()
            except FileNotFoundError:
                old = None
            if version != (old and _version(old)):
                return None
            new = temporary.stat()
            if (
                old and new.st_mtime_ns <= old.st_mtime_ns
            ):  # the clock is coarse: a version is unique
                os.utime(temporary, ns=(new.st_atime_ns, old.st_mtime_ns + 1))
            temporary.replace(path)
            return _version(path.stat())

    @contextlib.contextmanager
    def _written(self, key: str, body: bytes) -> Iterator[Path]:
        """Yield a temporary file with *body*, on disk, for *key*. Afterwards, write its name to disk."""
        path = self._path(key)
        temporary = self._partial / f"{path.name}.{secrets.token_hex(6)}"
        with self._explained(f"cannot store {key}"):
            _make_directory(self._partial)
            _make_directory(path.parent)
            try:
                with temporary.open("xb") as file:
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)
            _sync_directory(path.parent)

    def get_versioned(self, key: str) -> tuple[bytes, str] | None:
        """Return the bytes and the version of *key*, or None."""
        with self._explained(f"cannot read {key}"):
            try:
                with self._path(key).open("rb") as file:
                    return file.read(), _version(os.fstat(file.fileno()))
            except FileNotFoundError:
                return None

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None."""
        with self._explained(f"cannot read {key}"):
            try:
                with open(f"{self.root}/{key}", "rb") as file:  # noqa: PTH123 - half of Path's time
                    return file.read()
            except FileNotFoundError:
                return None
            except PermissionError as error:
                raise AccessDenied(
                    f"{self._path(key)} cannot be read: {error.strerror}; "
                    "check its owner and permissions"
                ) from error

    def get_all(self, keys: Sequence[str]) -> Iterator[bytes | StoreUnavailable | None]:
        """Yield the bytes under each of *keys*, None, or the error."""
        for key in keys:
            try:
                yield self.get(key)
            except StoreUnavailable as error:  # on a damaged disk, other files can be read
                yield error

    def metadata(self, key: str) -> dict[str, str]:
        """Return the metadata beside *key*."""
        text = self.get(_sidecar(key))
        return dict(json.loads(text)) if text else {}

    def delete(self, key: str) -> None:
        """Remove *key*, its metadata, and its directory if that is hidden and now empty."""
        path = self._path(key)
        with self._explained(f"cannot remove {key}"):
            path.unlink(missing_ok=True)
            self._path(_sidecar(key)).unlink(missing_ok=True)
        if path.parent.name.startswith("."):
            with contextlib.suppress(OSError):  # not empty
                path.parent.rmdir()

    def locate(self, key: str) -> str:
        """Return the path of *key*."""
        return str(self._path(key))

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """Yield the files below *prefix*, in order, without hidden ones; none if it does not exist."""
        with self._explained(f"cannot list {prefix}"):
            yield from _below(f"{self.root}/", prefix, after)

    def _path(self, key: str) -> Path:
        return self.root / key

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreUnavailable(
                f"the directory {self.root} {what}: {reason}; "
                f"check {self._setting}, its permissions and the free space"
            ) from error


def _below(root: str, prefix: str, after: str) -> Iterator[Entry]:
    """Yield the files below *root* and *prefix*.

    A stat with a directory's descriptor takes two thirds of the time of one with the whole path.
    """
    try:
        directory = os.open(root + prefix, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        for name in sorted(os.listdir(directory)):  # noqa: PTH208 - Path takes no descriptor
            key = f"{prefix}/{name}"
            if name[0] == "." or (key <= after and not after.startswith(f"{key}/")):
                continue
            try:
                found = os.stat(name, dir_fd=directory)
            except FileNotFoundError:  # removed meanwhile
                continue
            if S_ISDIR(found.st_mode):
                yield from _below(root, key, after)
            else:
                yield Entry(key, _version(found))
    finally:
        os.close(directory)


def _version(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _sidecar(key: str) -> str:
    return f"{key.removesuffix('.gz')}.json"


def _link(temporary: Path, path: Path) -> bool:
    """Give *temporary* the name *path*, in one atomic step; return False if that exists."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True


def _make_directory(path: Path) -> None:
    """Create *path* and its parents if they do not exist, and write their names to disk."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(exist_ok=True)  # another run may have created it
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Write the names in *path* to disk. The fsync of a file writes its bytes, not its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
