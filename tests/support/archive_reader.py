"""An independent reader of an archive, its registry and its topic.

It knows the formats from the documentation and shares no code with the project.
"""

import gzip
import hashlib
import json
import os

PREFIX = "dev:miso_realtime_total_load:"
ROOT = "sourcing/miso_realtime_total_load/"


def files_below(directory):
    """Return {path below *directory*: bytes} of every file of the archive, but for its identity."""
    found = {}
    for folder, _, names in os.walk(os.path.join(directory, ROOT)):
        for name in names:
            if name == "archive.json":
                continue
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = file.read()
    return found


def files_in(client, bucket):
    """Return {key: bytes} of every object of a bucket, but for the archive's identity."""
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            if entry["Key"].endswith("/archive.json"):
                continue
            found[entry["Key"]] = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    return found


def fingerprint(body):
    """Return the content's fingerprint: MD5 of its data as JSON, keys sorted, no white space."""
    data = json.loads(gzip.decompress(body))["data"]
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.md5(text.encode()).hexdigest()


class Archive:
    """The directory that a test's runs file into, read without the project's code."""

    def __init__(self, root):
        self.root = root

    def files(self):
        """The filed documents' paths below the root, in order."""
        found = self.root.glob("sourcing/miso_realtime_total_load/2*/**/*")
        return sorted(str(path.relative_to(self.root)) for path in found if path.is_file())

    def document(self, path):
        return json.loads(gzip.decompress((self.root / path).read_bytes()))

    def only(self):
        """The one document that is filed."""
        (path,) = self.files()
        return self.document(path)


class Witness:
    """What is there after a run. *files* from above; *redis* a client; *messages* (key, value)."""

    def __init__(self, files, redis, messages=None):
        self.quarantined = {key for key in files if "/quarantine/" in key}
        self.partial = {key for key in files if key.rpartition("/")[2].startswith(".")}
        self.contents = {
            key.rpartition("/")[2].removesuffix(".gz"): fingerprint(body)
            for key, body in files.items()
            if key not in self.quarantined | self.partial
        }
        names = list(redis.scan_iter(f"{PREFIX}*"))
        plain = {name.removeprefix(PREFIX) for name in names}
        self.registered = {
            name: redis.get(PREFIX + name) for name in plain if name.startswith("realtime_")
        }
        self.homes = {
            name.removeprefix("md5:"): redis.get(PREFIX + name)
            for name in plain
            if name.startswith("md5:")
        }
        self.claims = redis.hgetall(f"{PREFIX}claims")
        self.outbox = redis.hgetall(f"{PREFIX}outbox")
        self.announced = None if messages is None else {key for key, _ in messages}

    def stored_means_safe(self):
        """Promise 1: a registered fingerprint always has its file, readable and whole."""
        for identifier, content in self.registered.items():
            home = self.homes[content]
            assert self.contents.get(home) == content, (identifier, content, home)
        for content, home in self.homes.items():
            assert self.contents.get(home) == content, (content, home)

    def stored_once(self):
        """Promise 2: one file per candidate (its name) and per content."""
        contents = list(self.contents.values())
        assert len(contents) == len(set(contents)), self.contents

    def announced_at_least_once(self):
        """Promise 4: every stored file's message is sent, or waits in the outbox."""
        assert set(self.contents) <= self.announced | set(self.outbox)

    def nothing_left_open(self):
        """Promise 5: every file is registered, no claim is left, nothing is owed."""
        assert set(self.contents) <= set(self.registered)
        assert not self.claims
        assert not self.outbox

    def all_promises(self):
        self.stored_means_safe()
        self.stored_once()
        if self.announced is not None:
            self.announced_at_least_once()
