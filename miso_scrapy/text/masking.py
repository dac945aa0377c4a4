"""Mask secrets in text for users: the values of secret settings, and the secret parts of URLs.

Two rules:

* In a URL, the login and each value of the query are masked, secret or not:
  ``https://***@host/api?key=***``. The names of parameters stay.
* The values of secret settings are masked everywhere. A value that could be part of a harmless word
  (shorter than 8 characters, or letters only, or digits only) is masked only as a whole token, with
  no letter, digit or underscore beside it: ``test`` is masked, ``latest`` is not. Values in the query
  of such a setting's URL are secret too if they have 8 characters or more. Shorter ones, such as
  ``json`` or ``1``, are masked in URLs only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from scrapy.settings import BaseSettings
from w3lib.url import safe_url_string

MASK = "***"
_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_PASSWORD",
    "SPIDERMON_SLACK_SENDER_TOKEN",
    "SPIDERMON_TELEGRAM_SENDER_TOKEN",
    "SPIDERMON_SMTP_PASSWORD",
    "SPIDERMON_AWS_SECRET_ACCESS_KEY",
    "SPIDERMON_AWS_SECRET_KEY",
)
_WEBHOOK, _DSN = "SPIDERMON_DISCORD_WEBHOOK_URL", "SPIDERMON_SENTRY_DSN"
_URLS = (
    _WEBHOOK,
    _DSN,
    "REDIS_URL",
    "MISO_API_URL",
    "AWS_ENDPOINT_URL",
    *(
        name
        for proxy in ("HTTP", "HTTPS", "ALL")
        for name in (f"{proxy}_PROXY", f"{proxy.lower()}_proxy")
    ),
)
_LONG = 8
# A URL in a text, without the quotes, brackets and punctuation that follow it.
_ADDRESS = re.compile(r"""[a-zA-Z][\w+.-]*://[^\s<>"'\\]+?(?=[;,.:)\]}]*(?:[\s<>"'\\]|$))""")
_LOGIN = re.compile(r"(?<=://)[^/?#]*@")


def secrets_in(settings: BaseSettings) -> frozenset[str]:
    """Return the secret values in the settings and the environment, in all their spellings."""
    found: set[str] = set()
    for name in _SECRETS:
        found |= {*_values(settings, name)}
    for name in _URLS:
        for url in _values(settings, name):
            found |= _secrets_of(url)
    for url in _values(settings, _WEBHOOK):
        path = _parts(url)[2].strip("/")  # some errors show only the path
        found |= _spellings(path) | _spellings(path.rpartition("/")[2])
    for url in _values(settings, _DSN):
        found |= _spellings(_parts(url)[1].rpartition("@")[0].partition(":")[0])
    return frozenset(found - {""})


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return *text* with *secrets*, and the secret parts of each URL, replaced by asterisks."""
    if pattern := _pattern(frozenset(secrets)):
        text = pattern.sub(MASK, text)
    if "://" in text:
        text = _ADDRESS.sub(lambda address: masked_url(address[0]), text)
    return text


def masked_url(url: str) -> str:
    """Return *url* with login, query values and fragment masked: ``https://***@host/?key=***``."""
    address, hash_mark, fragment = url.partition("#")
    address, question_mark, query = address.partition("?")
    if query:
        parts = (part.partition("=") for part in query.split("&"))
        query = "&".join(
            name + equals + MASK if equals else name and MASK for name, equals, _ in parts
        )
    shown = _LOGIN.sub(f"{MASK}@", address, count=1) + question_mark + query + hash_mark
    return shown + MASK if fragment else shown


@lru_cache(maxsize=8)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    """Return a pattern that finds *secrets*, the longest first: one may contain another."""
    found = "|".join(map(_token, sorted(secrets, key=len, reverse=True)))
    return re.compile(found) if found else None


def _token(secret: str) -> str:
    escaped = re.escape(secret)
    if len(secret) >= _LONG and not secret.isalpha() and not secret.isdecimal():
        return escaped
    return rf"(?<!\w){escaped}(?!\w)"


def _values(settings: BaseSettings, name: str) -> Iterator[str]:
    for value in (settings.get(name), os.environ.get(name)):
        if value:
            yield str(value)


def _secrets_of(url: str) -> set[str]:
    """Return the password in *url*, and the longer values of its query."""
    _, netloc, _, query = _parts(url)
    if not netloc:  # not a URL: any part of it may be secret
        return {url}
    found = _spellings(netloc.rpartition("@")[0].partition(":")[2])
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if len(value := value if equals else name) >= _LONG:
            found |= _spellings(value)
    return found


def _parts(url: str) -> tuple[str, str, str, str]:
    try:
        return urlsplit(url)[:4]
    except ValueError:
        return "", "", "", ""


def _spellings(value: str) -> set[str]:
    """Return *value*, a part of a URL, in the spellings that different programs use."""
    plain = {unquote(value), unquote_plus(value)}
    quoted = {spell(each) for each in plain for spell in (quote, quote_plus, _quote_all)}
    return {value, safe_url_string(value), *plain, *quoted}


def _quote_all(value: str) -> str:
    return quote(value, safe="")
