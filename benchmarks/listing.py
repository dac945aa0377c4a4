"""List the market days of the bucket S3_BUCKET: `python listing.py`.

The last line is the peak resident set, in kB.
"""

from __future__ import annotations

import os
from pathlib import Path

from miso_scrapy.dataset.days import DayRange, days
from miso_scrapy.store.s3 import S3Store

found = days(S3Store.from_settings(os.environ), DayRange())
print(f"{sum(map(len, found)):,} files in {len(found):,} days")
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
