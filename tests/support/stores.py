"""Where a run files: the data directory or the bucket, by the same four questions."""

import contextlib
import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.support.archive_reader import files_below, files_in

QUARANTINE = "sourcing/miso_realtime_total_load/quarantine/"
places = pytest.mark.parametrize("kind", ["directory", "S3"])


class Directory:
    env = {}  # noqa: RUF012

    def __init__(self, root):
        self.root = root

    def files(self):
        """Return {key: bytes} of all there is, but for the archive's identity."""
        return files_below(self.root)

    def get(self, key):
        """Return the bytes under *key*, or None."""
        path = self.root / key
        return path.read_bytes() if path.exists() else None

    def note(self, key):
        """Return what stands beside a quarantined body."""
        return json.loads((self.root / key).with_suffix(".json").read_text())

    def put(self, key, body, note=None):
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if note:
            path.with_suffix(".json").write_text(json.dumps(note))

    def remove(self, key):
        path = self.root / key
        path.unlink()
        if key.startswith(QUARANTINE):
            path.with_suffix(".json").unlink()


class Bucket:
    def __init__(self, bucket):
        self.env = bucket.settings
        self.name = bucket.name
        self.client = bucket.client

    def files(self):
        return files_in(self.client, self.name)

    def get(self, key):
        with contextlib.suppress(self.client.exceptions.NoSuchKey):
            return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def note(self, key):
        return self.client.head_object(Bucket=self.name, Key=key)["Metadata"]

    def put(self, key, body, note=None):
        self.client.put_object(Bucket=self.name, Key=key, Body=body, Metadata=note or {})

    def remove(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)


def place_of(request, kind):
    """The place of a test's runs, from its fixtures: give the runs its `.env`."""
    if kind == "S3":
        return Bucket(request.getfixturevalue("bucket"))
    return Directory(request.getfixturevalue("archive").root)


def filed(place):
    """Return {key: bytes} of what is filed, without the quarantine."""
    return {key: body for key, body in place.files().items() if not key.startswith(QUARANTINE)}


def quarantined(place):
    """Return {key: the body as it came} of what is in quarantine."""
    return {
        key: gzip.decompress(body)
        for key, body in place.files().items()
        if key.startswith(QUARANTINE) and key.endswith(".gz")
    }


def put_into_quarantine(place, body, like, **note):
    """Put *body* there as the program does: beside the body *like*, with its note but for *note*."""
    key = f"{os.path.dirname(like)}/{hashlib.md5(body).hexdigest()}{Path(like).suffix}"
    place.put(key, gzip.compress(body), {**place.note(like), **note})
    return key
