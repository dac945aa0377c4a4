"""The store in an S3 bucket.

Least permissions: ``s3:PutObject`` and ``s3:GetObject`` on the archive's keys. ``s3:ListBucket`` is
needed only to list them. Without it, S3 answers 403 instead of 404 for a missing object.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from miso_scrapy import __version__
from miso_scrapy.store import AccessDenied, Entry, Stored, StoreUnavailable

# Every wait is bounded: 3 tries of at most 5 s to connect and 8 s to answer. A request of boto3 takes
# 1 ms of CPU, and S3 some 30 ms to answer: 32 at once keep a core busy.
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=8,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=32,
    # boto3 builds a user agent of its own for each request, which takes a tenth of that CPU.
    user_agent=f"miso_scrapy/{__version__} boto3/{boto3.__version__}",
)
_SETTINGS = (
    "S3_BUCKET",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION_NAME",
    "AWS_ENDPOINT_URL",
)
_MISSING = ("404", "NoSuchKey", "NotFound")
_FORBIDDEN = ("403", "AccessDenied", "Forbidden")
_TAKEN = ("PreconditionFailed", "412")
# Another write to the same key is under way: S3 asks to try again.
_CONFLICT = ("ConditionalRequestConflict", "409")
_TRIES = 5


class S3Store:
    """Objects in *bucket*."""

    def __init__(
        self, settings: Mapping[str, Any], client: Any = None, setting: str = "S3_BUCKET"
    ) -> None:
        self.bucket = settings["S3_BUCKET"]
        self._settings = settings
        self._client = client
        self._setting = setting  # that names the bucket, for messages

    def __reduce__(self) -> Any:
        """Pickle the settings only: other processes open clients of their own."""
        return S3Store, (self._settings, None, self._setting)

    @property
    def client(self) -> Any:
        """The client of the process that opened the store; elsewhere, the client of this thread.

        A Dask worker unpickles the store in one thread, and uses it in several.
        """
        return self._client or _client_of_thread(self._settings)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, setting: str = "S3_BUCKET") -> S3Store:
        """Return the store that the settings configure; the rest is found as usual in boto3.

        *setting* is what named the bucket, for messages. Raises StoreUnavailable for a profile that
        does not exist.
        """
        settings = {name: settings.get(name) for name in _SETTINGS}
        return cls(settings, _open_client(settings), setting)

    def check(self, *, to_write: bool = True) -> None:
        """Raise StoreUnavailable if the bucket does not exist or the endpoint does not answer.

        A 403 is ignored: this request needs ``s3:ListBucket``, and a writer does not.
        """
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if _code(error) in (*_MISSING, "NoSuchBucket"):
                raise StoreUnavailable(
                    f"the bucket {self.bucket} does not exist; check {self._setting} and the region"
                ) from error
            if _code(error) not in _FORBIDDEN:
                raise self._explained("does not answer as S3 should", error) from error
        except BotoCoreError as error:
            raise self._explained("cannot be reached", error) from error

    def put(
        self,
        key: str,
        body: bytes,
        metadata: Mapping[str, str],
        *,
        overwrite: bool = False,
        sidecar: bool = False,
    ) -> Stored:
        """Store *body* under *key* unless an object exists: S3 itself decides, atomically.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        condition = {} if overwrite else {"IfNoneMatch": "*"}
        for left in reversed(range(_TRIES)):
            try:
                answer = self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ContentType=_content_type(key),
                    Metadata=dict(metadata),
                    **condition,
                )
                break
            except ClientError as error:
                if not overwrite and _code(error) in _TAKEN:
                    return Stored(self.locate(key), "", created=False)
                if left == 0 or _code(error) not in _CONFLICT:
                    raise self._explained(f"cannot store {key}", error) from error
            except BotoCoreError as error:
                raise self._explained(f"cannot store {key}", error) from error
        if "ETag" not in answer:  # the headers were cut off
            return Stored(self.locate(key), "", created=False)
        return Stored(self.locate(key), answer["ETag"].strip('"'), created=True)

    def replace(self, key: str, body: bytes, version: str | None) -> str | None:
        """Store *body* under *key* if that still has the ETag *version*: S3 itself decides, atomically.

        If an answer is lost, the write is repeated and finds its own result: it returns None then.
        """
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": f'"{version}"'}
        try:
            answer = self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType=_content_type(key),
                **condition,
            )
        except ClientError as error:
            if _code(error) in (*_TAKEN, *_CONFLICT, *_MISSING):
                return None
            raise self._explained(f"cannot store {key}", error) from error
        except BotoCoreError as error:
            raise self._explained(f"cannot store {key}", error) from error
        etag: str | None = answer.get("ETag")
        return etag and etag.strip('"')

    def get(self, key: str) -> bytes | None:
        """Return the object under *key*, or None.

        Without ``s3:ListBucket``, a missing object raises AccessDenied too.
        """
        found = self._get(self.client, key)
        return found and found[0]

    def get_versioned(self, key: str) -> tuple[bytes, str] | None:
        """Return the object under *key* and its ETag, or None, as :meth:`get`."""
        return self._get(self.client, key)

    def _get(self, client: Any, key: str) -> tuple[bytes, str] | None:
        try:
            answer = client.get_object(Bucket=self.bucket, Key=key)
            return answer["Body"].read(), answer.get("ETag", "").strip('"')
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            if _code(error) in _FORBIDDEN:
                raise AccessDenied(
                    f"{self.locate(key)} cannot be read, or does not exist: grant s3:GetObject, and "
                    "s3:ListBucket to know which"
                ) from error
            raise self._explained(f"cannot read {key}", error) from error
        except BotoCoreError as error:
            raise self._explained(f"cannot read {key}", error) from error

    def metadata(self, key: str) -> dict[str, str]:
        """Return the metadata of the object under *key*."""
        try:
            found: dict[str, str] = self.client.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        except (ClientError, BotoCoreError) as error:
            raise self._explained(f"cannot read {key}", error) from error
        return found

    def delete(self, key: str) -> None:
        """Remove the object under *key*. Needs ``s3:DeleteObject``."""
        try:
            self.client.delete_object(Bucket=self.bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise self._explained(f"cannot remove {key}", error) from error

    def locate(self, key: str) -> str:
        """Return the URI of *key*."""
        return f"s3://{self.bucket}/{key}"

    def get_all(self, keys: Sequence[str]) -> Iterator[bytes | StoreUnavailable | None]:
        """Yield the object under each of *keys*, None, or the error; several requests run at once."""
        client = self.client

        def get(key: str) -> bytes | AccessDenied | None:
            try:
                found = self._get(client, key)
                return found and found[0]
            except AccessDenied as error:
                return error

        at_once = client.meta.config.max_pool_connections
        with ThreadPoolExecutor(at_once) as threads:
            try:
                yield from threads.map(get, keys)
            finally:
                threads.shutdown(cancel_futures=True)

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """Yield the objects below *prefix*, in order. Needs ``s3:ListBucket``."""
        pages = self.client.get_paginator("list_objects_v2")
        place = {"Bucket": self.bucket, "Prefix": f"{prefix}/"}
        if after:
            place["StartAfter"] = after
        try:
            for page in pages.paginate(**place):
                for entry in page.get("Contents", ()):
                    yield Entry(entry["Key"], entry["ETag"].strip('"'))
        except (ClientError, BotoCoreError) as error:
            raise self._explained("cannot be listed (s3:ListBucket)", error) from error

    def _explained(self, what: str, error: Exception) -> StoreUnavailable:
        if _is_overloaded(error):
            advice = "S3 is overloaded or in trouble, try again later"
        elif isinstance(error, (NoCredentialsError, PartialCredentialsError)):
            advice = "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        elif isinstance(error, ClientError):
            advice = f"check {self._setting}, the credentials and their permissions"
        else:
            advice = "check the network, AWS_ENDPOINT_URL and the region"
        reason = " ".join(str(error).split())
        refused = isinstance(error, ClientError) and _code(error) in _FORBIDDEN
        kind = AccessDenied if refused else StoreUnavailable
        return kind(f"the bucket {self.bucket} {what}: {reason}; {advice}")


_CONTENT_TYPES = {
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "zip": "application/zip",
}


def _content_type(key: str) -> str:
    return _CONTENT_TYPES.get(key.rpartition(".")[2], "application/gzip")


def _open_client(settings: Mapping[str, Any]) -> Any:
    """Return a new client. Raises StoreUnavailable.

    Its session is new too: clients can be shared by threads, and sessions cannot.
    """
    logging.getLogger("botocore").setLevel(logging.WARNING)  # at INFO: the credentials' source
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # at WARNING: each retry
    if bool(settings.get("AWS_ACCESS_KEY_ID")) != bool(settings.get("AWS_SECRET_ACCESS_KEY")):
        raise StoreUnavailable(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: give both as settings, or "
            "both in the environment"
        )
    try:
        session = boto3.Session(
            profile_name=settings.get("AWS_PROFILE") or None,
            aws_access_key_id=settings.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=settings.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=settings.get("AWS_SESSION_TOKEN"),
            region_name=settings.get("AWS_REGION_NAME"),
        )
        return session.client("s3", endpoint_url=settings.get("AWS_ENDPOINT_URL"), config=_CONFIG)
    except ProfileNotFound as error:
        raise StoreUnavailable(f"{error}; check AWS_PROFILE") from error
    except (BotoCoreError, ValueError) as error:
        raise StoreUnavailable(f"S3 cannot be set up: {error}; check the AWS settings") from error


_threads = local()


def _client_of_thread(settings: Mapping[str, Any]) -> Any:
    """Return the client of *settings* that this thread has opened, or open one."""
    clients = _threads.__dict__.setdefault("clients", {})
    key = tuple(settings.items())
    if key not in clients:
        clients[key] = _open_client(settings)
    return clients[key]


def _is_overloaded(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or _code(error) == "SlowDown"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
