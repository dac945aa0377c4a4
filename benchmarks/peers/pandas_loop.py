"""Read an archive as a usual notebook does: a DataFrame per file, concatenated, newest row kept.

`python pandas_loop.py DIRECTORY 2025-01-01T05 31` reads the files of 31 market days.
"""

from __future__ import annotations

import gzip
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

root, first, days = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), int(sys.argv[3])
frames = []
for number in range(288 * days):
    candidate = first + timedelta(minutes=5 * number)
    name = f"{candidate:%Y/%m/%d}/realtime_total_load_{candidate:%Y%m%d_%H%M%S}.json.gz"
    with gzip.open(root / name) as file:
        data = json.load(file)["data"]
    frame = pd.DataFrame(data["FiveMinTotalLoad"])
    published = pd.Timestamp(data["RefId"])
    frame["RefId"], frame["day"] = published, (published - pd.Timedelta(hours=5)).date()
    frames.append(frame)
table = pd.concat(frames, ignore_index=True).sort_values("RefId")
table = table.drop_duplicates(["day", "Time"], keep="last")
print(len(table))
