import os
import runpy
from pathlib import Path

import pytest
from scrapy.settings import Settings

import miso_scrapy
from miso_scrapy.options import Options, flag
from tests.support.project import FOREIGN

SETTINGS = Path(miso_scrapy.__file__).with_name("settings.py")


@pytest.fixture
def options(monkeypatch):
    """Read the options of a run: options(env={...}, NAME="as -s NAME=... gives it")."""
    for name in list(os.environ):
        if FOREIGN.match(name):
            monkeypatch.delenv(name)

    def read(env=None, **given):
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        defaults = runpy.run_path(str(SETTINGS))
        settings = Settings({name: defaults[name] for name in defaults if name.isupper()})
        settings.update(given, priority="cmdline")
        return Options.from_settings(settings)

    return read


@pytest.fixture(params=["environment", "setting"])
def given(request, options):
    """Read the options with one of them given, as an environment variable or with `-s`."""

    def read(**values):
        return options(env=values) if request.param == "environment" else options(**values)

    return read


def test_without_settings_it_is_the_live_feed_and_no_services(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read = options()
    assert read.api_url == "https://public-api.misoenergy.org/api/RealTimeTotalLoad"
    assert read.environment == "dev"
    assert read.data_dir == tmp_path / "data"
    assert read.require_coverage is True
    assert read.registry_ttl_days == 365
    assert (read.s3_bucket, read.redis_url, read.kafka_brokers, read.kafka_topic) == (
        "", "", [], "",
    )  # fmt: skip


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_an_environment_is_accepted(given, environment):
    assert given(ENVIRONMENT=environment).environment == environment


@pytest.mark.parametrize("environment", ["", "production", "PROD", "dev:x", "test", " dev"])
def test_any_other_environment_is_refused(given, environment):
    with pytest.raises(ValueError, match=r"\AENVIRONMENT.*staging.*\Z"):
        given(ENVIRONMENT=environment)


def test_the_feeds_address_is_an_option(given):
    assert given(MISO_API_URL="http://localhost:8000/load").api_url == "http://localhost:8000/load"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://localhost/load",
        "/api/load",
        "http://",
        "http://[::1/",
        "http://localhost:port/load",
        "http://localhost:70000/load",
    ],
)
def test_an_address_that_is_no_url_is_refused(given, url):
    with pytest.raises(ValueError, match=r"\A.*MISO_API_URL.*\Z"):
        given(MISO_API_URL=url)


def test_the_data_directory_is_an_option(given, tmp_path):
    assert given(MISO_DATA_DIR=str(tmp_path / "there")).data_dir == tmp_path / "there"


def test_a_relative_data_directory_is_below_the_working_directory(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert given(MISO_DATA_DIR="over/there").data_dir == tmp_path / "over/there"


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_data_directory_is_the_default(options, tmp_path, monkeypatch, empty):
    monkeypatch.chdir(tmp_path)
    assert options(MISO_DATA_DIR=empty).data_dir == tmp_path / "data"
    assert options(env={"MISO_DATA_DIR": ""}).data_dir == tmp_path / "data"


def test_the_delay_of_publication_is_an_option_and_may_be_none(given):
    assert given(MISO_PUBLISH_DELAY="12.5").publish_delay == 12.5
    assert given(MISO_PUBLISH_DELAY="0").publish_delay == 0


@pytest.mark.parametrize("text", ["", "abc", "-1", "nan", "inf", "1 minute"])
def test_a_delay_of_publication_that_is_no_number_is_refused(given, text):
    with pytest.raises(ValueError, match=r"\AMISO_PUBLISH_DELAY.*\Z"):
        given(MISO_PUBLISH_DELAY=text)


@pytest.mark.parametrize(
    "bucket",
    ["archive", "my.archive-2", "arn:aws:s3:us-east-1:123456789012:accesspoint/archive"],
)
def test_the_bucket_is_an_option(given, bucket):
    assert given(S3_BUCKET=bucket).s3_bucket == bucket


@pytest.mark.parametrize("bucket", ["s3://archive", "s3://archive/", "S3://archive/load"])
def test_a_bucket_with_its_scheme_is_told_the_name(given, bucket):
    with pytest.raises(ValueError, match=r"\AS3_BUCKET.*without s3://: use archive\Z"):
        given(S3_BUCKET=bucket)


@pytest.mark.parametrize("bucket", ["archive/load", "https://archive.s3.amazonaws.com", "a b", "ä"])
def test_a_bucket_that_is_no_name_is_refused(given, bucket):
    with pytest.raises(ValueError, match=r"\AS3_BUCKET must be a bucket's name.*\Z") as error:
        given(S3_BUCKET=bucket)
    assert len(str(error.value)) < 120


def test_a_login_in_a_bucket_s_address_is_not_repeated(given):
    with pytest.raises(ValueError, match="S3_BUCKET") as error:
        given(S3_BUCKET="s3://AKIA:hunter2@archive")
    assert "hunter2" not in str(error.value)


def test_a_data_directory_that_is_a_bucket_is_refused(given):
    with pytest.raises(ValueError, match=r"\AMISO_DATA_DIR must be a local path.*S3_BUCKET\Z"):
        given(MISO_DATA_DIR="s3://archive")


@pytest.mark.parametrize(("text", "required"), [("0", False), ("1", True), ("false", False)])
def test_coverage_may_be_waived(given, text, required):
    assert given(MISO_REQUIRE_COVERAGE=text).require_coverage is required


def test_coverage_that_is_neither_0_nor_1_is_refused(given):
    with pytest.raises(ValueError, match=r"\A.*MISO_REQUIRE_COVERAGE.*\Z"):
        given(MISO_REQUIRE_COVERAGE="maybe")


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://:secret@localhost:6379/0",
        "rediss://user:secret@cache.example:6380/2",
    ],
)
def test_a_redis_url_is_taken_as_it_is(given, url):
    assert given(REDIS_URL=url).redis_url == url


def test_the_parts_of_a_redis_address_make_its_url(given):
    read = given(REDIS_HOST="cache.example", REDIS_PORT="6380", REDIS_DB="2")
    assert read.redis_url == "redis://cache.example:6380/2"


def test_a_redis_host_alone_has_the_usual_port_and_database(given):
    assert given(REDIS_HOST="cache.example").redis_url == "redis://cache.example:6379/0"


def test_a_redis_host_may_be_an_ipv6_address(given):
    assert given(REDIS_HOST="::1").redis_url == "redis://[::1]:6379/0"
    assert given(REDIS_HOST="[::1]").redis_url == "redis://[::1]:6379/0"


def test_a_redis_url_goes_before_its_parts(given):
    read = given(REDIS_URL="redis://one.example/1", REDIS_HOST="two.example")
    assert read.redis_url == "redis://one.example/1"


@pytest.mark.parametrize(
    ("name", "text"),
    [("REDIS_PORT", "many"), ("REDIS_PORT", "70000"), ("REDIS_PORT", "-1"), ("REDIS_DB", "main")],
)
def test_a_redis_port_or_database_that_is_none_is_refused(given, name, text):
    with pytest.raises(ValueError, match=rf"\A.*{name}.*\Z"):
        given(REDIS_HOST="cache.example", **{name: text})


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@cache.example",
        "hunter2@cache.example:6379",
        "redis//:hunter2@cache.example",
        "redis://:hunter2@[cache.example:6379/0",
        "redis://:hunter2℀@cache.example:6379/0",
        "redis://:hunter2@cache.example:port/0",
        "redis://:hunter2@cache.example:70000/0",
    ],
)
def test_a_redis_url_that_is_none_is_refused_without_its_password(given, url):
    with pytest.raises(ValueError, match=r"\A.+\Z") as error:
        given(REDIS_URL=url)
    assert "REDIS_URL" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_the_registrys_memory_is_an_option(given):
    assert given(REGISTRY_TTL_DAYS="30").registry_ttl_days == 30


@pytest.mark.parametrize("name", ["REGISTRY_TTL_DAYS", "KAFKA_TIMEOUT", "METRICS_INTERVAL"])
@pytest.mark.parametrize("text", ["", "0", "-1", "long", "nan", "inf"])
def test_a_duration_that_is_no_positive_number_is_refused(given, name, text):
    with pytest.raises(ValueError, match=rf"\A.*{name}.*\Z"):
        given(**{name: text})


@pytest.mark.parametrize("text", ["", "-1", "soon", "nan", "inf"])
def test_an_interval_that_is_no_number_of_seconds_is_refused(given, text):
    with pytest.raises(ValueError, match=r"\A.*MISO_MIN_INTERVAL.*\Z"):
        given(MISO_MIN_INTERVAL=text)


def test_the_interval_is_a_minute_unless_another_is_given(given):
    assert given().min_interval == 60
    assert given(MISO_API_URL="http://127.0.0.1/", MISO_MIN_INTERVAL="0.5").min_interval == 0.5


def test_kafka_is_brokers_and_a_topic(given):
    read = given(KAFKA_BROKERS="one.example:9092, two.example:9092", KAFKA_TOPIC="load")
    assert read.kafka_brokers == ["one.example:9092", "two.example:9092"]
    assert read.kafka_topic == "load"


@pytest.mark.parametrize(
    ("half", "missing"),
    [({"KAFKA_BROKERS": "one:9092"}, "KAFKA_TOPIC"), ({"KAFKA_TOPIC": "load"}, "KAFKA_BROKERS")],
)
def test_half_of_kafka_is_refused(given, half, missing):
    with pytest.raises(ValueError, match=rf"\A{missing}.*\Z"):
        given(**half)


def test_a_setting_goes_before_the_environment(options):
    read = options(env={"S3_BUCKET": "from-environment"}, S3_BUCKET="from-setting")
    assert read.s3_bucket == "from-setting"


@pytest.mark.parametrize("text", ["1", "true", "True", "yes", "on"])
def test_a_flag_is_raised(text):
    assert flag("force", text) is True


@pytest.mark.parametrize("text", ["0", "false", "False", "no", "off"])
def test_a_flag_is_not_raised(text):
    assert flag("force", text) is False


@pytest.mark.parametrize("text", ["", "2", "-1", "maybe", "yes!"])
def test_a_flag_that_is_neither_is_refused_by_its_name(text):
    with pytest.raises(ValueError, match=r"\Aforce.*\Z"):
        flag("force", text)
