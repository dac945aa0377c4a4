"""Which names are mistyped settings, and which are none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy.settings import Settings, default_settings

from miso_scrapy import settings as ours
from miso_scrapy.extensions.mistyped_settings import mistyped

NAMES = [name for name in dir(ours) if name.isupper()]
READ = ["MISO_API_URL", "MISO_STALE_AFTER", "MISO_MAX_503", "S3_BUCKET", "REDIS_URL", "REDIS_HOST",
        "REGISTRY_TTL_DAYS", "KAFKA_BROKERS", "KAFKA_SASL_PASSWORD", "METRICS_FILE", "RETRY_TIMES",
        "DOWNLOAD_TIMEOUT", "LOG_LEVEL", "ENVIRONMENT"]  # fmt: skip


def found(environment=(), **given):
    settings = Settings()
    settings.setmodule(ours)
    settings.update(given, priority="cmdline")
    return mistyped(settings, dict.fromkeys(environment, "x"))


def test_the_names_of_settings_are_none():
    scrapys = [name for name in dir(default_settings) if name.isupper()]
    assert found([*NAMES, *scrapys]) == {}
    assert found(**dict.fromkeys([*NAMES, *scrapys], "{}")) == {}


@given(st.sampled_from(READ), st.data())
def test_a_letter_too_few_too_many_or_two_that_are_swapped_are_seen(name, data):
    start = len(name.partition("_")[0]) + 1 if "_" in name else 3
    at = data.draw(st.integers(start, len(name) - 2))
    wrong = data.draw(
        st.sampled_from(
            [
                name[:at] + name[at + 1 :],
                name[:at] + name[at] + name[at:],
                name[:at] + name[at + 1] + name[at] + name[at + 2 :],
            ]
        )
    )
    if wrong not in NAMES:
        assert found([wrong]).keys() == {wrong}
        assert found(**{wrong: "x"}).keys() == {wrong}


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("miso_stale_after", "MISO_STALE_AFTER"),
        ("MISO_STALEAFTER", "MISO_STALE_AFTER"),
        ("MISO_URL", "MISO_API_URL"),
        ("MISO_CA", "MISO_CA_FILE"),
        ("MISO_TABLE", "MISO_TABLES"),
        ("KAFKA_BROKER", "KAFKA_BROKERS"),
        ("REDIS_URI", "REDIS_URL"),
        ("ENVIROMENT", "ENVIRONMENT"),
    ],
)
def test_what_was_meant(wrong, meant):
    assert found([wrong]) == {wrong: meant}


@pytest.mark.parametrize(
    "name",
    ["KAFKA_HEAP_OPTS", "KAFKA_HOME", "KAFKA_BROKER_ID", "KAFKA_LOG_DIRS", "KAFKA_PORT",
     "REDIS_PASSWORD", "REDIS_PASSWORD_FILE", "REDIS_TLS_URL", "REDIS_SERVICE_PORT",
     "REDIS_PORT_NUMBER", "S3_ENDPOINT", "S3_BUCKET_NAME", "MISO_MIN_INTERVAL", "MISO_CA_FILE",
     "AWS_PROFILES", "SPIDERMON_SMTP_HOSTS", "LOGLEVEL", "LOG_DIR", "RETRY_COUNT", "ENV",
     "DOWNLOAD_DIR", "METRICS_PORT", "REGISTRY_URL", "MISO_HOME", "MISO_ENV", "MISO_USER",
     "MISO_VERSION"],
)  # fmt: skip
def test_a_name_of_another_program_or_version_is_none(name):
    assert found([name]) == {}
    assert found(**{name: "x"}) == {}
