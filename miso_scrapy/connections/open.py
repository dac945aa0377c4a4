"""Open the store, the registry and the feed's turns that the settings configure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from scrapy.settings import BaseSettings

from miso_scrapy.archive.document import DATASET
from miso_scrapy.options import Options
from miso_scrapy.store import Store

if TYPE_CHECKING:
    from miso_scrapy.registry.client import Registry
    from miso_scrapy.registry.feed_turns import Turns


def make_store(settings: BaseSettings, options: Options) -> Store:
    """Return the store that the settings configure. Raises StoreUnavailable if they are wrong."""
    if options.s3_bucket:
        from miso_scrapy.store.s3 import S3Store  # boto3 takes a while to import

        return S3Store.from_settings(settings)
    from miso_scrapy.store.directory import DirectoryStore

    return DirectoryStore(options.data_dir)


def open_store(settings: BaseSettings, options: Options, *, to_write: bool = True) -> Store:
    """Return the store that the settings configure, checked. Raises StoreUnavailable."""
    store = make_store(settings, options)
    store.check(to_write=to_write)
    return store


def connect_registry(options: Options, url: str) -> Registry:
    """Return the registry at *url*, without connecting to it yet. Raises RegistryUnavailable."""
    from miso_scrapy.registry.client import Registry  # redis takes a while to import

    return Registry.connect(
        url,
        prefix=f"{options.environment}:{DATASET}:",
        ttl=options.registry_ttl_days * 86400,
        lease=options.claim_ttl,
    )


def feed_turns(options: Options, registry: Registry | None, *, fresh: bool = False) -> Turns:
    """Return the turns at the feed. *fresh*: see Turns.

    If the settings name a Redis server, all who use *registry* share the turns. Otherwise, all runs
    with the same MISO_DATA_DIR share them.
    """
    from miso_scrapy.registry.feed_turns import DirectoryTurns, RedisTurns

    url, interval = options.api_url, options.min_interval
    if registry and options.redis_url:
        return RedisTurns(registry, url, interval, fresh=fresh)
    return DirectoryTurns(options.data_dir / ".feed", url, interval, fresh=fresh)


@asynccontextmanager
async def open_registry(options: Options) -> AsyncIterator[Registry]:
    """Open and yield the registry that the settings name, or an embedded one.

    Raises RegistryUnavailable.
    """
    url, embedded = options.redis_url, None
    if not url:
        from miso_scrapy.registry.embedded import EmbeddedValkey

        embedded = EmbeddedValkey(options.data_dir / ".registry")
        url = await asyncio.to_thread(embedded.start)
    registry = connect_registry(options, url)
    if embedded:
        registry.where = f"embedded in {embedded.directory}"  # the URL is this process's only
        registry.start_server = embedded.start_again
    try:
        await registry.open(alone=embedded is not None)
        yield registry
    finally:
        await registry.close()
        if embedded:
            await asyncio.to_thread(embedded.stop)


@asynccontextmanager
async def read_registry(options: Options) -> AsyncIterator[Registry | None]:
    """Yield the registry that the settings name, to read it with :meth:`Registry.look` alone.

    Yield None if there is no embedded registry yet. Nothing is written. Raises RegistryUnavailable.
    """
    url: str | None = options.redis_url
    with ExitStack() as embedded:
        if not url:
            from miso_scrapy.registry.embedded import reading

            directory = options.data_dir / ".registry"
            url = await asyncio.to_thread(embedded.enter_context, reading(directory))
            if not url:
                yield None
                return
        registry = connect_registry(options, url)
        if not options.redis_url:
            registry.where = f"embedded in {directory}"
        try:
            yield registry
        finally:
            await registry.close()
