"""`scrapy doctor`: check that everything a run needs is available."""

from __future__ import annotations

import argparse

from scrapy.commands import ScrapyCommand

from miso_scrapy.cli.usage import StrictUsage


class Command(StrictUsage, ScrapyCommand):
    """Print the findings of all checks; exit status 1 if one fails."""

    warns = False
    requires_project = True
    requires_crawler_process = False

    def short_desc(self) -> str:
        """Return the description."""
        return "Check settings, feed, registry, store and Kafka topic, without collecting"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the checks, and print each finding at once."""
        from miso_scrapy.doctor.checks import Result, findings, settings_in_use
        from miso_scrapy.text.masking import masked, secrets_in

        assert self.settings is not None
        secrets = secrets_in(self.settings)

        def show(*cells: str, widths: tuple[int, ...]) -> None:
            line = "".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
            print(masked(line, secrets).rstrip(), flush=True)  # noqa: T201

        rows = [("setting", "value", "from"), *settings_in_use(self.settings)]
        name_width, value_width = (
            max(map(len, cells)) + 2 for cells in list(zip(*rows, strict=True))[:2]
        )
        for row in rows:
            show(*row, widths=(name_width, value_width, 0))
        show(widths=())
        columns = (15, 6, 0)
        show("check", "", "found", widths=columns)
        try:
            for finding in findings(self.settings):
                show(finding.check, finding.result, finding.what, widths=columns)
                if finding.result == Result.FAIL:
                    show("", "fix:", finding.fix, widths=columns)
                    self.exitcode = 1
        except KeyboardInterrupt:
            self.exitcode = 130  # as a shell reports Ctrl-C
