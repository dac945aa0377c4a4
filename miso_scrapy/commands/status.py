"""`scrapy status`: say in five lines how collecting goes, and whether somebody must act."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from datetime import UTC, datetime
from typing import Any, NoReturn

from scrapy.commands import ScrapyCommand

from miso_scrapy.cli.usage import StrictUsage, usage_error
from miso_scrapy.options import Options


class Command(StrictUsage, ScrapyCommand):
    """Print the status; exit status 1 if somebody must act. It only reads."""

    requires_project = True
    requires_crawler_process = False

    def short_desc(self) -> str:
        """Return the description."""
        return "Say in five lines how collecting goes, and whether somebody must act"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the output format."""
        super().add_options(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print the status, secrets masked."""
        from miso_scrapy.status.report import status
        from miso_scrapy.status.words import lines, to_json
        from miso_scrapy.text.masking import masked, secrets_in

        assert self.settings is not None
        try:
            options = Options.from_settings(self.settings)
        except ValueError as error:
            usage_error(self.name, error)
        signal.signal(signal.SIGTERM, _end)  # so that a temporary copy is removed
        try:
            found = asyncio.run(status(self.settings, options, datetime.now(UTC)))
        except KeyboardInterrupt:
            self.exitcode = 130  # as a shell reports Ctrl-C
            return
        secrets = secrets_in(self.settings)
        for line in [to_json(found)] if opts.json else lines(found):
            print(masked(line, secrets))  # noqa: T201
        self.exitcode = 1 if found.problems else 0


def _end(*_: Any) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)
