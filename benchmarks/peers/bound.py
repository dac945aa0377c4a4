"""Gunzip and parse every file of an archive, the least work possible: `python bound.py DIRECTORY`."""

from __future__ import annotations

import os
import sys
import zlib

import orjson

for directory, _, names in os.walk(sys.argv[1]):
    for name in names:
        if name.endswith(".gz"):  # not the archive's identity
            with open(f"{directory}/{name}", "rb") as file:  # noqa: PTH123 - Path takes longer
                orjson.loads(zlib.decompress(file.read(), wbits=31))
