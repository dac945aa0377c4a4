"""Count the objects of the bucket S3_BUCKET with boto3's paginator alone: `python paginator.py`.

The last line is the peak resident set, in kB.
"""

from __future__ import annotations

import os
from pathlib import Path

import boto3

pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=os.environ["S3_BUCKET"])
print(sum(len(page["Contents"]) for page in pages))
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
