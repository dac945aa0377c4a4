"""Take the screenshot of the report for README.md and the docs: three simulated weeks with gaps."""

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random

from playwright.sync_api import sync_playwright

from miso_scrapy.feed.candidate import candidate_of
from miso_scrapy.feed.market_day import EST, market_day
from miso_scrapy.simulator.writer import begin, write_day


def _candidate(path: Path) -> datetime:
    return candidate_of(path.name.removesuffix(".gz"))


def main(target: str) -> None:
    """Write the screenshot to *target*, a PNG file."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="miso-archive-") as directory:
        root = Path(directory)
        begin(root)  # so that the report says that its data are simulated
        for ago in range(21):
            write_day(root, 1, market_day(now) - timedelta(days=ago))
        files = sorted(root.rglob("*.json.gz"))
        today = datetime.combine(market_day(now), time(), EST)
        lost = {*files[-288:]} & {path for path in files if _candidate(path) > now}
        for gap in Random(1).sample(range(len(files)), 12):  # later snapshots heal these
            lost |= {path for path in files[gap : gap + gap % 20] if _candidate(path) < now}
        for start, end in ((9, 8), (4.3, 4)):  # days ago: nothing heals what lasts until midnight
            first, last = (today - timedelta(days=ago) for ago in (start, end))
            lost |= {path for path in files if first <= _candidate(path) < last}
        for path in lost:
            path.unlink()
        page_file = root / "report.html"
        subprocess.run(
            ["scrapy", "report", "-o", page_file],
            check=True,
            env={**os.environ, "MISO_DATA_DIR": directory, "S3_BUCKET": ""},
        )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
            page = browser.new_page(viewport={"width": 1366, "height": 1080})
            page.goto(page_file.as_uri())
            page.wait_for_selector("html[data-drawn]")
            page.locator("#load .u-over").hover()
            page.screenshot(path=target)
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
