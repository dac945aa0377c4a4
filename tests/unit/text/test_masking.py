"""What is masked in a text: secrets, and nothing else."""

import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scrapy.settings import Settings

from miso_scrapy.text.masking import masked, masked_url, secrets_in

URL = "https://public-api.misoenergy.org/api/RealTimeTotalLoad"
LETTERS = string.ascii_letters + string.digits
# Long enough, and of more than one kind: no word of a log.
SECRETS = st.text(LETTERS + "-+/=.~", min_size=8).filter(
    lambda text: not text.isalpha() and not text.isdecimal()
)


def of(monkeypatch, **given):
    for name in given:
        monkeypatch.delenv(name, raising=False)
    return secrets_in(Settings(given))


def test_a_short_secret_or_a_word_is_masked_as_a_whole_token_only():
    said = "latest test, testing:test@host contest test_x"
    assert masked(said, {"test"}) == "latest ***, testing:***@host contest test_x"
    assert masked("passwords of a password", {"password"}) == "passwords of a ***"
    assert masked("realtime_total_load_20251205_120000.json", {"20251205"}).endswith("_120000.json")
    assert masked("xhunter2-0ffx", {"hunter2-0ff"}) == "x***x"


@given(st.text(LETTERS, min_size=1, max_size=7), st.text(LETTERS), st.text(LETTERS))
def test_a_word_that_only_contains_a_short_secret_stays(secret, before, after):
    assume(before + after)
    text = f"<{before}{secret}{after}>"
    assert masked(text, {secret}) == text


@given(st.sets(SECRETS, min_size=1, max_size=4), st.text(), st.text())
def test_a_long_secret_never_stays_whatever_stands_beside_it(secrets, before, after):
    shown = masked("".join(before + secret + after for secret in sorted(secrets)), secrets)
    assert not any(secret in shown for secret in secrets)


@given(st.text())
def test_a_text_without_a_secret_or_an_address_stays_as_it_is(text):
    assume("://" not in text)
    assert masked(text, {"hunter2-0ff\0"}) == text


def test_a_secret_that_holds_another_is_masked_whole():
    assert masked("<hunter2-0ff-again>", {"hunter2-0ff", "hunter2-0ff-again"}) == "<***>"


@pytest.mark.parametrize(
    "name", ["MISO_API_URL", "SPIDERMON_DISCORD_WEBHOOK_URL", "SPIDERMON_SENTRY_DSN"]
)
@pytest.mark.parametrize("value", ["me:hunter2@host/api", "http://[hunter2"])
def test_what_is_no_address_is_masked_whole(monkeypatch, name, value):
    assert masked(f"<{value}>", of(monkeypatch, **{name: value})) == "<***>"


# --- Addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, URL),
        (f"{URL}?key=abc", f"{URL}?key=***"),
        (f"{URL}?key=abc&format=json", f"{URL}?key=***&format=***"),
        (f"{URL}?abc", f"{URL}?***"),
        (f"{URL}?key=a=b&&x", f"{URL}?key=***&&***"),
        (f"{URL}?key=", f"{URL}?key=***"),
        (f"{URL}#abc", f"{URL}#***"),
        ("http://me:abc@host/a@b", "http://***@host/a@b"),
        ("redis://:abc@host:6379/0", "redis://***@host:6379/0"),
        ("data:,", "data:,"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_login_and_the_values_of_its_query(url, shown):
    assert masked_url(url) == shown
    assert masked_url(shown) == shown
    assert masked(f"<GET {url}> from '{url}'", ()) == f"<GET {shown}> from '{shown}'"


@given(st.dictionaries(st.text(LETTERS, min_size=1), st.text(min_size=1), min_size=1))
def test_the_names_of_parameters_are_kept_and_no_value_is(query):
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    assert masked_url(f"{URL}?{text}") == f"{URL}?" + "&".join(f"{name}=***" for name in query)


@given(st.text())
def test_whatever_is_no_address_is_no_error(text):
    once = masked_url(text)
    assert masked_url(once) == once


@given(st.text("ab1 %&+/:@?#'\"é-", min_size=8).filter(lambda text: not text.isspace()))
def test_a_key_is_masked_in_each_of_its_spellings(key):
    settings = Settings({"MISO_API_URL": f"{URL}?key={quote(key, safe='')}"})
    secrets = secrets_in(settings)
    for spelt in (quote(key, safe=""), quote(key), quote_plus(key), key):
        assert spelt not in masked(f"GET /api?key={spelt} HTTP/1.1", secrets)


def test_a_short_value_of_a_query_is_masked_in_addresses_only(monkeypatch):
    secrets = of(monkeypatch, MISO_API_URL=f"{URL}?key=test&format=json&v=1")
    said = f"1 candidate stored at data/x.json.gz, latest test from <GET {URL}?v=1&key=test>"
    assert masked(said, secrets) == said.replace("v=1&key=test", "v=***&key=***")
