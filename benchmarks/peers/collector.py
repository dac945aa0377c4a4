"""Collect candidates one after the other, as a usual script does with requests, redis and boto3.

`python collector.py 2025-12-05T05:00 288`. Environment variables name the feed, the bucket and Redis.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
from datetime import UTC, datetime, timedelta

import boto3
import redis
import requests

session = requests.Session()
registry = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
bucket, url = os.environ["S3_BUCKET"], os.environ["MISO_API_URL"]

candidate = datetime.fromisoformat(sys.argv[1]).replace(tzinfo=UTC)
for _ in range(int(sys.argv[2])):
    name = f"realtime_total_load_{candidate:%Y%m%d_%H%M%S}.json"
    if not registry.exists(name):
        response = session.get(url, timeout=30)
        response.raise_for_status()
        data = response.json()
        digest = hashlib.md5(json.dumps(data, sort_keys=True).encode()).hexdigest()
        if not registry.exists(f"md5:{digest}"):
            metadata = {"collected_at": datetime.now(UTC).isoformat(), "source_url": url}
            document = json.dumps({"data": data, "collection_metadata": metadata})
            s3.put_object(
                Bucket=bucket,
                Key=f"sourcing/{candidate:%Y/%m/%d}/{name}.gz",
                Body=gzip.compress(document.encode()),
            )
            registry.set(f"md5:{digest}", name)
        registry.set(name, digest)
    candidate += timedelta(minutes=5)
