"""The store: keys and bytes, in a directory or in S3, each file whole or not there.

It knows nothing of the feed. Calls block: the event loop runs them in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class StoreUnavailable(Exception):
    """The store does not do what it was asked; the message says, in one line, what to do."""


class AccessDenied(StoreUnavailable):
    """The store refuses, for want of a permission; to read: so it does not say what is there."""


@dataclass(frozen=True)
class Stored:
    """What came of a put."""

    location: str
    """``s3://bucket/key``, or the path of the file."""
    etag: str
    created: bool
    """False when a file was there already, or the store did not confirm: read what is there."""


class Entry(NamedTuple):
    """A file that is there."""

    key: str
    version: str
    """Another one as soon as other bytes are there."""


class Store(Protocol):
    """Where files go. A store can be pickled, for work in other processes."""

    def check(self, *, to_write: bool = True) -> None:
        """Raise StoreUnavailable if it is certain that nothing could be stored, or read, here."""

    def put(
        self,
        key: str,
        body: bytes,
        metadata: Mapping[str, str],
        *,
        overwrite: bool = False,
        sidecar: bool = False,
    ) -> Stored:
        """Store *body*, whole or not at all; what is there stays, unless *overwrite*.

        *metadata* can be read again from S3; from a directory if *sidecar* has put them beside the
        file. Raises StoreUnavailable.
        """

    def metadata(self, key: str) -> dict[str, str]:
        """Return the metadata that were stored with *key*; nothing where there are none."""

    def delete(self, key: str) -> None:
        """Remove *key* and its metadata. Raises StoreUnavailable."""

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None if it is certain that there are none.

        Raises AccessDenied and StoreUnavailable.
        """

    def locate(self, key: str) -> str:
        """Return the location that *key* has here."""

    def get_all(self, keys: Sequence[str]) -> Iterator[bytes | StoreUnavailable | None]:
        """Yield what :meth:`get` says of each of *keys*, in their order; why, where one is not given.

        Raises StoreUnavailable when it is not this one alone.
        """

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield what is below *prefix*, in the order of the keys. Raises StoreUnavailable."""
