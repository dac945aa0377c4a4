"""`scrapy reindex`: rebuild the registry from the archive."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Sequence

from scrapy.commands import ScrapyCommand

from miso_scrapy.archive import quarantine
from miso_scrapy.archive.document import ROOT, UnreadableDocument
from miso_scrapy.archive.record import Filed, filed_from, identifier_in
from miso_scrapy.cli.usage import StrictUsage, say, usage_error
from miso_scrapy.connections.binding import rebind
from miso_scrapy.connections.open import open_registry, open_store
from miso_scrapy.logs.terminal import bar_size
from miso_scrapy.options import Options
from miso_scrapy.store import Store, StoreUnavailable
from miso_scrapy.text.wording import count

_AT_ONCE = 200


class Command(StrictUsage, ScrapyCommand):
    """Read every file of the archive, and register its content. It can be run again at any time."""

    requires_project = True
    requires_crawler_process = False

    def short_desc(self) -> str:
        """Return the description."""
        return "Rebuild the registry from the archive"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the option for a lost outbox."""
        super().add_options(parser)
        parser.add_argument(
            "--announce",
            action="store_true",
            help="put a Kafka message into the outbox for every file, not only for unregistered ones",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Rebuild the registry; exit status 1 if a file cannot be read."""
        from miso_scrapy.registry.client import RegistryUnavailable  # importing redis takes a while

        assert self.settings is not None
        try:
            options = Options.from_settings(self.settings)
            store = open_store(self.settings, options)
            self.exitcode = asyncio.run(_reindex(store, options, announce=opts.announce))
        except ValueError as error:
            usage_error("reindex", error)
        except (StoreUnavailable, RegistryUnavailable) as error:
            say("reindex", error)
            self.exitcode = 1


async def _reindex(store: Store, options: Options, *, announce: bool) -> int:
    from tqdm import tqdm

    from miso_scrapy.notifications.kafka import message_of  # imports redis, which takes a while

    unreadable = registered = kept = 0
    async with open_registry(options) as registry:
        # List the archive first: if that fails, the registry must stay as it is.
        await asyncio.to_thread(next, iter(store.entries(ROOT)), None)
        await rebind(registry, store)
        entries = store.entries(ROOT)
        await registry.forget_quarantine()
        # The bar is shown on a terminal; a log gets the last line only.
        with tqdm(unit=" files", disable=None, file=sys.stderr, **bar_size()) as progress:
            while batch := await asyncio.to_thread(
                lambda: [entry.key for entry in itertools.islice(entries, _AT_ONCE)]
            ):
                bodies = [key for key in batch if key.startswith(f"{quarantine.QUARANTINE}/")]
                for key in filter(quarantine.is_body, bodies):
                    await registry.quarantine(quarantine.hash_in(key))
                    kept += 1
                files = [key for key in batch if identifier_in(key)]
                filed, faults = await asyncio.to_thread(_read, store, files)
                # Files that are not registered may never have been announced.
                owed = {file.identifier for file in filed} if announce else set()
                if options.kafka_topic:
                    owed |= await registry.unregistered([file.identifier for file in filed])
                await registry.restore(
                    (
                        file.identifier,
                        file.fingerprint,
                        message_of(file, options.environment) if file.identifier in owed else "",
                    )
                    for file in filed
                )
                registered += len(filed)
                unreadable += len(faults)
                for fault in faults:
                    tqdm.write(f"cannot be read: {fault}", file=sys.stderr)
                progress.update(len(batch))
    print(  # noqa: T201
        f"{count(registered, 'file')} registered, {unreadable} cannot be read, {kept} in quarantine"
    )
    return 1 if unreadable else 0


def _read(store: Store, keys: Sequence[str]) -> tuple[list[Filed], list[str]]:
    filed, faults = [], []
    for key, body in zip(keys, store.get_all(keys), strict=True):
        identifier = identifier_in(key)
        if isinstance(body, StoreUnavailable):
            faults.append(str(body))
            continue
        if body is None or identifier is None:  # removed since it was listed
            continue
        try:
            filed.append(filed_from(identifier, store.locate(key), body))
        except UnreadableDocument as error:
            faults.append(f"{store.locate(key)}: {error}")
    return filed, faults
