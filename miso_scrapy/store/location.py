"""Locations that a user gives: ``s3://bucket/prefix``, or the path of a directory or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miso_scrapy.store import Store


@dataclass(frozen=True)
class Location:
    """A place in a bucket or in the file system."""

    bucket: str
    """Empty for a path."""
    path: str
    """The path; in a bucket, the prefix of the keys, without slashes around it."""

    @classmethod
    def parse(cls, name: str, text: str) -> Location:
        """Return the location *text*, which is the value of *name*. Raises ValueError."""
        if text.startswith("s3://"):
            bucket, _, prefix = text.removeprefix("s3://").partition("/")
            if not bucket:
                raise ValueError(f"{name} {text} must name a bucket, such as s3://bucket/prefix")
            return cls(bucket, prefix.strip("/"))
        if "://" in text:
            scheme = text.partition("://")[0]
            raise ValueError(f"{name} must be a path or s3://BUCKET/PREFIX, not {scheme}://...")
        if not text:  # it would be the current directory
            raise ValueError(f"{name} must be a path or s3://BUCKET/PREFIX, not empty")
        return cls("", str(Path(text).absolute()))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.path}".rstrip("/") if self.bucket else self.path

    def open(self, name: str, settings: Mapping[str, Any]) -> tuple[Store, str]:
        """Return the store of a directory or a bucket, and the prefix of the keys in it.

        *name* is what gave the location, for messages. *settings* has the AWS settings. Raises
        StoreUnavailable.
        """
        if not self.bucket:
            from miso_scrapy.store.directory import DirectoryStore

            return DirectoryStore(Path(self.path), setting=name), ""
        from miso_scrapy.store.s3 import S3Store  # boto3 takes a while to import

        prefix = f"{self.path}/" if self.path else ""
        aws = {**settings, "S3_BUCKET": self.bucket}
        return S3Store.from_settings(aws, setting=name), prefix
