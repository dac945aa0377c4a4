"""`scrapy doctor`: check that everything a run needs is available."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scrapy.commands import ScrapyCommand

from miso_scrapy.cli.usage import StrictUsage

if TYPE_CHECKING:
    from miso_scrapy.doctor.checks import Finding

_COLUMNS = (15, 6, 0)


class Command(StrictUsage, ScrapyCommand):
    """Print the findings of all checks; exit status 1 if one fails."""

    warns = False
    requires_project = True
    requires_crawler_process = False

    def short_desc(self) -> str:
        """Return the description."""
        return "Check settings, feed, registry, store and Kafka topic, without collecting"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that say what is printed, and how."""
        super().add_options(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--failures", action="store_true", help="print only the checks that failed"
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the checks, and print their findings."""
        from miso_scrapy.doctor.checks import settings_in_use

        assert self.settings is not None
        settings = [] if opts.failures else settings_in_use(self.settings)
        try:
            if opts.json:
                self._print_json(settings, self._findings(opts))
            else:
                self._print_text(settings, self._findings(opts))
        except KeyboardInterrupt:
            self.exitcode = 130  # as a shell reports Ctrl-C

    def _findings(self, opts: argparse.Namespace) -> Iterator[Finding]:
        """Run the checks, and yield the findings to print. Set the exit status if one fails."""
        from miso_scrapy.doctor.checks import Result, findings

        assert self.settings is not None
        for finding in findings(self.settings):
            if finding.result == Result.FAIL:
                self.exitcode = 1
            elif opts.failures:
                continue
            yield finding

    def _print_text(
        self, settings: list[tuple[str, str, str]], findings: Iterator[Finding]
    ) -> None:
        """Print the settings, if any, and each finding at once."""
        if settings:
            rows = [("setting", "value", "from"), *settings]
            name_width, value_width = (
                max(map(len, cells)) + 2 for cells in list(zip(*rows, strict=True))[:2]
            )
            for row in rows:
                self._print_row(*row, widths=(name_width, value_width, 0))
            self._print_row(widths=())
            self._print_row("check", "", "found", widths=_COLUMNS)
        for finding in findings:
            self._print_row(finding.check, finding.result, finding.what, widths=_COLUMNS)
            if finding.fix:
                self._print_row("", "fix:", finding.fix, widths=_COLUMNS)

    def _print_row(self, *cells: str, widths: tuple[int, ...]) -> None:
        line = "".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        print(self._masked(line).rstrip(), flush=True)  # noqa: T201

    def _print_json(
        self, settings: list[tuple[str, str, str]], findings: Iterator[Finding]
    ) -> None:
        """Print one object, when all checks have run."""
        checks = [
            {
                "name": finding.check,
                "status": {"FAIL": "failed"}.get(finding.result, finding.result),
                "message": self._masked(finding.what),
                "advice": self._masked(finding.fix),
            }
            for finding in findings
        ]
        shown: dict[str, Any] = {"ok": not self.exitcode, "checks": checks}
        if settings:
            shown["settings"] = [
                {"name": name, "value": self._masked(value), "source": source}
                for name, value, source in settings
            ]
        print(json.dumps(shown))  # noqa: T201

    def _masked(self, text: str) -> str:
        from miso_scrapy.text.masking import masked, secrets_in

        assert self.settings is not None
        return masked(text, secrets_in(self.settings))
