"""The options of a run: settings, converted to their types and validated."""

from __future__ import annotations

import inspect
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from scrapy.settings import BaseSettings
from w3lib.url import safe_url_string

from miso_scrapy import settings as defaults
from miso_scrapy.network.tls import check_ca_file
from miso_scrapy.text.masking import masked_url

ENVIRONMENTS = ("dev", "staging", "prod")
MISO = "misoenergy.org"
MISO_ASKS = 60
"""The seconds that MISO requires between two requests."""
# As boto3 accepts it: a name, or the ARN of an access point.
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:[\w:/.-]+", re.ASCII)


@dataclass(frozen=True)
class Options:
    """The validated values of the settings. docs/reference/settings.md lists all settings."""

    api_url: str
    min_interval: float
    """Seconds between the start of one request to the feed and the start of the next."""
    publish_delay: float
    """Seconds."""
    require_coverage: bool
    environment: str
    data_dir: Path
    s3_bucket: str
    redis_url: str
    """Empty for the embedded registry."""
    registry_ttl_days: float
    claim_ttl: float
    """Seconds."""
    kafka_brokers: list[str]
    kafka_topic: str
    kafka_timeout: float
    """Seconds."""
    metrics_interval: float
    """Seconds."""
    stale_after: float
    """Minutes."""
    max_503: int

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Options:
        """Read *settings*. Raises ValueError with one line that names the invalid setting."""
        environment = settings.get("ENVIRONMENT", "")
        if environment not in ENVIRONMENTS:
            raise ValueError(
                f"ENVIRONMENT={environment!r} must be one of {', '.join(ENVIRONMENTS)}"
            )
        api_url = settings.get("MISO_API_URL", "")
        if not _is_url(api_url, "http", "https") or not urlsplit(api_url).hostname:
            raise ValueError("MISO_API_URL must be an http:// or https:// URL")
        brokers = [broker.strip() for broker in settings.getlist("KAFKA_BROKERS") if broker.strip()]
        topic = settings.get("KAFKA_TOPIC", "")
        if bool(brokers) != bool(topic):
            missing = "KAFKA_TOPIC" if brokers else "KAFKA_BROKERS"
            raise ValueError(
                f"{missing} is not set: set both KAFKA_BROKERS and KAFKA_TOPIC, or neither"
            )
        if ca_file := settings.get("MISO_CA_FILE"):
            check_ca_file(ca_file)
        _positive(settings, "DOWNLOAD_TIMEOUT")
        if not str(settings.get("RETRY_TIMES")).isdecimal():
            raise ValueError(
                f"RETRY_TIMES={settings.get('RETRY_TIMES')!r} must be a whole number, 0 or more"
            )
        _flag(settings, "SPIDERMON_ENABLED")
        _flag(settings, "STATS_DUMP")
        if settings.get("LOG_LEVEL") not in logging.getLevelNamesMapping():
            raise ValueError(
                f"LOG_LEVEL={settings.get('LOG_LEVEL')!r} must be one of DEBUG, INFO, WARNING, ERROR"
            )
        log_format = settings.get("LOG_FORMAT")
        try:
            logging.Formatter(None if log_format == "json" else log_format)
        except ValueError:
            raise ValueError(
                f"LOG_FORMAT={log_format!r} must be json or a format string of Python's logging"
            ) from None
        return cls(
            api_url=api_url,
            min_interval=_min_interval(settings, api_url),
            publish_delay=_number(settings, "MISO_PUBLISH_DELAY"),
            require_coverage=_flag(settings, "MISO_REQUIRE_COVERAGE"),
            environment=environment,
            data_dir=data_dir(settings),
            s3_bucket=_bucket(settings),
            redis_url=_redis_url(settings),
            registry_ttl_days=_positive(settings, "REGISTRY_TTL_DAYS"),
            claim_ttl=_positive(settings, "REGISTRY_CLAIM_TTL"),
            kafka_brokers=brokers,
            kafka_topic=topic,
            kafka_timeout=_positive(settings, "KAFKA_TIMEOUT"),
            metrics_interval=_positive(settings, "METRICS_INTERVAL"),
            stale_after=_positive(settings, "MISO_STALE_AFTER"),
            max_503=_whole(settings, "MISO_MAX_503"),
        )


def variables() -> list[str]:
    """Return the names of the settings that have an environment variable, as settings.py reads them."""
    return re.findall(r"environ\.get\(\s*\"(\w+)\"", inspect.getsource(defaults))


def data_dir(settings: BaseSettings) -> Path:
    """Return MISO_DATA_DIR, or its default if it is empty. Raises ValueError."""
    text = str(settings.get("MISO_DATA_DIR") or "data")
    return local_path("MISO_DATA_DIR", text, "; for a bucket, set S3_BUCKET").absolute()


def local_path(name: str, text: str, advice: str = "") -> Path:
    """Return *text*, the value of *name*, as a path. Raises ValueError for an address such as s3://."""
    if "://" in text:
        raise ValueError(f"{name} must be a local path, not {masked_url(text)}{advice}")
    return Path(text)


def flag(name: str, text: str) -> bool:
    """Return *text* as a bool: 1, true, yes, on; 0, false, no, off. Raises ValueError."""
    value = str(text).strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{name}={text!r} must be 1 or 0")


def _flag(settings: BaseSettings, name: str) -> bool:
    return flag(name, settings.get(name))


def _positive(settings: BaseSettings, name: str) -> float:
    number = _number(settings, name)
    if number == 0:
        raise ValueError(f"{name}={settings.get(name)!r} must be a number greater than 0")
    return number


def _number(settings: BaseSettings, name: str) -> float:
    text = settings.get(name)
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number < 1e9:
        raise ValueError(f"{name}={text!r} must be a number, 0 or more")
    return number


def _whole(settings: BaseSettings, name: str) -> int:
    text = str(settings.get(name))
    if not text.isdecimal():
        raise ValueError(f"{name}={text!r} must be a whole number, 0 or more")
    return int(text)


def _min_interval(settings: BaseSettings, api_url: str) -> float:
    seconds = _number(settings, "MISO_MIN_INTERVAL")
    # Normalised as Scrapy does before a request: the host may be spelled in other ways.
    host = (urlsplit(safe_url_string(api_url)).hostname or "").rstrip(".")
    if seconds < MISO_ASKS and (host == MISO or host.endswith(f".{MISO}")):
        raise ValueError(
            f"MISO_MIN_INTERVAL={settings.get('MISO_MIN_INTERVAL')!r} must be at least {MISO_ASKS} "
            f"for {host}: MISO asks for no more than one request per minute"
        )
    return seconds


def _bucket(settings: BaseSettings) -> str:
    bucket: str = settings.get("S3_BUCKET", "")
    if bucket.lower().startswith("s3://"):
        name = masked_url(bucket)[len("s3://") :].partition("/")[0]
        raise ValueError(f"S3_BUCKET must be a bucket's name, without s3://: use {name}")
    if bucket and not _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"S3_BUCKET must be a bucket's name, such as miso-archive, not {masked_url(bucket)[:60]}"
        )
    return bucket


def _redis_url(settings: BaseSettings) -> str:
    url: str = settings.get("REDIS_URL", "")
    if url:
        if not _is_url(url, "redis", "rediss", "unix"):
            raise ValueError("REDIS_URL must be a redis://, rediss:// or unix:// URL")
        return url
    host = settings.get("REDIS_HOST", "")
    if not host:
        return ""
    port, db = settings.get("REDIS_PORT"), settings.get("REDIS_DB")
    if not str(port).isdecimal() or int(port) > 65535:
        raise ValueError(f"REDIS_PORT={port!r} must be a port, 0 to 65535")
    if not str(db).isdecimal():
        raise ValueError(f"REDIS_DB={db!r} must be a whole number, 0 or more")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"  # IPv6
    return f"redis://{quote(host, safe='[]:')}:{port}/{db}"


def _is_url(url: str, *schemes: str) -> bool:
    """Return whether *url* is a URL of one of *schemes*. It may hold a password: do not print it."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
