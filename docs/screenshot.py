"""Take the screenshot of the report for README.md and the docs: two simulated weeks with gaps."""

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from playwright.sync_api import sync_playwright

from miso_scrapy.feed.market_day import market_day
from miso_scrapy.simulator.writer import begin, write_day


def main(target: str) -> None:
    """Write the screenshot to *target*, a PNG file."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        begin(root)  # so that the report says that its data are simulated
        for ago in range(14):
            write_day(root, 1, market_day(now) - timedelta(days=ago))
        files = sorted(root.rglob("*.json.gz"))
        later = [path for path in files if path.name[20:35] > f"{now:%Y%m%d_%H%M%S}"]
        gaps = Random(1).sample(range(len(files) - len(later)), 12)
        for path in {*later, *(path for gap in gaps for path in files[gap : gap + gap % 20])}:
            path.unlink()
        page_file = root / "report.html"
        subprocess.run(
            ["scrapy", "report", "-o", page_file],
            check=True,
            env={**os.environ, "MISO_DATA_DIR": directory, "S3_BUCKET": ""},
        )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
            page = browser.new_page(viewport={"width": 1200, "height": 1265})
            page.goto(page_file.as_uri())
            page.wait_for_selector("html[data-drawn]")
            box = page.locator("#load").bounding_box()
            assert box
            page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.5)
            page.wait_for_selector("#load .hoverlayer .legend", state="attached")
            page.screenshot(path=target)
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
