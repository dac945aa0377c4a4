"""The store: files by key, in a directory or in S3. Each file is either complete or absent.

It does not depend on the feed. Calls block, so asyncio code runs them in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class StoreUnavailable(Exception):
    """Raised if an operation of the store fails; the message says, in one line, what to do."""


class AccessDenied(StoreUnavailable):
    """Raised if a permission is missing. After a read, it is unknown whether the file exists."""


@dataclass(frozen=True)
class Stored:
    """The result of a put."""

    location: str
    """``s3://bucket/key``, or the path of the file."""
    etag: str
    created: bool
    """False if a file was there already or the store did not confirm: read the file to know."""


class Entry(NamedTuple):
    """A file in the store."""

    key: str
    version: str
    """A text that changes when the file's bytes change."""


class Store(Protocol):
    """The methods of a store. A store can be pickled, for work in other processes."""

    def check(self, *, to_write: bool = True) -> None:
        """Raise StoreUnavailable if files certainly cannot be stored (or read, if not *to_write*)."""

    def put(
        self,
        key: str,
        body: bytes,
        metadata: Mapping[str, str],
        *,
        overwrite: bool = False,
        sidecar: bool = False,
    ) -> Stored:
        """Store *body* completely or not at all. Keep an existing file, unless *overwrite*.

        S3 stores *metadata* with the object. A directory stores them beside the file, and only if
        *sidecar*. Raises StoreUnavailable.
        """

    def replace(self, key: str, body: bytes, version: str | None) -> str | None:
        """Store *body* if the file still has *version*, or if there is none and *version* is None.

        Return the new version; None if the file has another version. The check and the write are one
        step, so of two that replace the same version one succeeds. Raises StoreUnavailable.
        """

    def get_versioned(self, key: str) -> tuple[bytes, str] | None:
        """Return the bytes and the version of *key*, or None, as :meth:`get`."""

    def metadata(self, key: str) -> dict[str, str]:
        """Return the metadata that were stored with *key*; empty if there are none."""

    def delete(self, key: str) -> None:
        """Remove *key* and its metadata. Raises StoreUnavailable."""

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None if it is certain that there are none.

        Raises AccessDenied and StoreUnavailable.
        """

    def locate(self, key: str) -> str:
        """Return the location of *key*: a URI or a path."""

    def get_all(self, keys: Sequence[str]) -> Iterator[bytes | StoreUnavailable | None]:
        """Yield the result of :meth:`get` for each of *keys*, in their order, or its error.

        Raises StoreUnavailable if the error is not about one key alone.
        """

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """Yield the files below *prefix*, in the order of their keys. Raises StoreUnavailable.

        With *after*, those whose keys sort after that text. Whoever stops early saves the rest of the
        listing.
        """
