"""Check which archive a registry belongs to: it stores the id of the archive's identity."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from miso_scrapy.archive.document import ROOT, UnreadableDocument, key_of
from miso_scrapy.archive.identity import Identity, WrongArchive, read_identity
from miso_scrapy.archive.record import filed_from
from miso_scrapy.store import AccessDenied, Store

if TYPE_CHECKING:
    from miso_scrapy.registry.client import Registry

_SAMPLE = 10
"""How many registrations to look up in the archive if the registry has no archive's id."""


def wrong_archive(where: str, store: Store) -> WrongArchive:
    """Return the error for a registry, at *where*, of another archive than the one in *store*."""
    return WrongArchive(
        f"the registry {where} belongs to another archive than {store.locate(ROOT)}; set another "
        "ENVIRONMENT or REDIS_DB, or run scrapy reindex to rebuild the registry from this archive"
    )


async def compare(registry: Registry, store: Store) -> Identity | None:
    """Check that *registry* belongs to the archive in *store*; return the archive's identity, if any.

    A registry that has no archive's id yet is bound to this archive. While the archive has no
    identity, it is not bound: call :func:`bind` later. Raises WrongArchive, RegistryUnavailable and
    StoreUnavailable.
    """
    # Read the registry first: whatever it contains was in the archive before.
    remembered = await registry.archive()
    identity = await asyncio.to_thread(read_identity, store)
    if remembered is None:  # new, or of an earlier version
        registered = await registry.registered(_SAMPLE)
        if registered and not await asyncio.to_thread(_holds_any, store, registered):
            raise wrong_archive(registry.where, store)
    if identity is not None:
        await bind(registry, store, identity)
    elif remembered is not None:
        raise wrong_archive(registry.where, store)
    return identity


async def bind(registry: Registry, store: Store, identity: Identity) -> None:
    """Store the archive's id in *registry*. Raises WrongArchive if it has another archive's."""
    if not await registry.bind(identity.id):
        raise wrong_archive(registry.where, store)


async def rebind(registry: Registry, store: Store) -> None:
    """Bind *registry* to the archive in *store*; delete its entries about another archive.

    Raises RegistryUnavailable while other workers use it, and what :func:`compare` raises.
    """
    try:
        await compare(registry, store)
    except WrongArchive:
        await registry.forget()
        await compare(registry, store)


def _holds_any(store: Store, registered: Iterable[tuple[str, str]]) -> bool:
    """Return whether one of the (identifier, fingerprint) pairs is filed in *store*."""
    for identifier, fingerprint in registered:
        key = key_of(identifier)
        try:
            body = store.get(key)
            if body and filed_from(identifier, key, body).fingerprint == fingerprint:
                return True
        except (AccessDenied, UnreadableDocument):
            continue
    return False
