"""An archive has an identity: a registry belongs to one archive, and an archive is real or simulated."""

import contextlib
import gzip
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq
import pytest

from miso_scrapy.archive.identity import Identity, Kind, identify
from miso_scrapy.store.s3 import S3Store
from tests.support import export_reader, samples
from tests.support.archive_reader import PREFIX, files_below
from tests.support.crawl import Run, started
from tests.support.project import SCRAPY
from tests.support.scripted_server import Scripted
from tests.support.servers import live_body
from tests.support.stores import (
    Directory,
    filed,
    place_of,
    places,
    put_into_quarantine,
    quarantined,
)

CLOCK = "2025-12-05T12:35:00+00:00"
RANGE = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:10"}
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
LATER = {"start": "2025-12-05T13:00", "end": "2025-12-05T13:00"}
IDENTITY = "sourcing/miso_realtime_total_load/archive.json"
REMEMBERED = f"{PREFIX}archive"
JSON = {"Content-Type": "application/json"}
FORBIDDEN = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def identity(place):
    """What the archive's identity says; None where there is none."""
    found = place.get(IDENTITY)
    return json.loads(found) if found else None


def refused(run, feed, *words):
    """Assert that the run was refused before anything was fetched, in one line with *words*."""
    assert (run.status, run.outcomes) == (1, {}), run.log
    assert feed.requests == []
    (line,) = run.lines("ERROR")
    for word in words:
        assert word in line
    assert "Traceback" not in run.log


@contextlib.contextmanager
def real(feed):
    """A feed that is not the simulator; each answer is a snapshot of its own."""
    bodies = []
    for _ in range(5):
        answer = json.loads(live_body(feed))
        answer["LoadInfo"].pop("Simulated")
        bodies.append(json.dumps(answer).encode())
    left = iter(bodies)
    with Scripted(lambda _: (200, JSON, next(left, bodies[-1]))) as server:
        yield server


class LeastBucket:
    """S3 to a writer with s3:PutObject and s3:GetObject, and nothing else: what is not there is 403."""

    def __init__(self):
        self.objects = {}
        self.lock = threading.Lock()

    def __call__(self, request):
        path = request.path.partition("?")[0]
        with self.lock:
            if request.method == "PUT":
                if request.conditional and path in self.objects:
                    return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
                self.objects[path] = request.body
                return 200, {"ETag": '"etag"'}, b""
            if request.method == "GET" and path in self.objects:
                return 200, {}, self.objects[path]
        return 403, {"Content-Type": "application/xml"}, FORBIDDEN

    def files(self, bucket):
        return sorted(path for path in self.objects if path.startswith(f"/{bucket}/"))


# --- A registry belongs to one archive --------------------------------------------------------


@pytest.mark.parametrize("registry", ["embedded", "shared"])
def test_a_registry_refuses_another_archive_until_it_is_reindexed(
    registry, crawl, scrapy, feed, bucket, archive, valkey, tmp_path
):
    env = {"REDIS_URL": valkey.url} if registry == "shared" else {}
    other = (
        {**env, **bucket.settings}
        if registry == "embedded"
        else {**env, "MISO_DATA_DIR": str(tmp_path / "other")}
    )
    feed.set(clock=CLOCK, advance=5)
    assert crawl(**RANGE, env=env).outcomes == {"stored": 3}
    first, known_as = files_below(archive.root), identity(Directory(archive.root))
    assert known_as.keys() == {"id", "kind"}

    feed.requests.clear()
    words = ("ENVIRONMENT", "REDIS_DB", "scrapy reindex")
    refused(crawl(**RANGE, env=other), feed, *words)
    refused(crawl(**RANGE, env=other, force=1), feed, *words)
    done = scrapy("requeue", env=other)
    assert done.returncode == 1
    assert all(word in done.stdout + done.stderr for word in words)
    assert bucket.client.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
    assert not (tmp_path / "other" / "sourcing").exists()
    # Another registry, for one.
    assert crawl(**NOON, env={**other, "ENVIRONMENT": "staging"}).outcomes == {"stored": 1}
    # Or this one, made anew: what it says of the first archive is forgotten.
    assert scrapy("reindex", env=other).returncode == 0
    run = crawl(**RANGE, env=other)
    assert (run.status, run.outcomes) == (0, {"skipped": 1, "stored": 2}), run.log
    feed.requests.clear()
    refused(crawl(**RANGE, env=env), feed, *words)
    assert files_below(archive.root) == first
    assert identity(Directory(archive.root)) == known_as


def test_a_reindex_of_an_empty_archive_frees_the_registry_for_it(
    crawl, scrapy, feed, archive, valkey, tmp_path
):
    env = {"REDIS_URL": valkey.url}
    feed.set(clock=CLOCK, advance=5)
    assert crawl(**RANGE, env=env).outcomes == {"stored": 3}
    other = {**env, "MISO_DATA_DIR": str(tmp_path / "other")}
    kept = {f"{PREFIX}turn:of-the-feed", f"{PREFIX}outbox"}  # neither is about the archive's files
    valkey.client.set(f"{PREFIX}turn:of-the-feed", "1")
    valkey.client.hset(f"{PREFIX}outbox", "realtime_total_load_20251205_120000.json", "{}")
    assert scrapy("reindex", env=other).returncode == 0
    assert kept <= set(valkey.client.scan_iter(f"{PREFIX}*"))
    assert not list(valkey.client.scan_iter(f"{PREFIX}[mrh]*"))
    assert not valkey.client.exists(REMEMBERED)
    assert crawl(**RANGE, env=other).outcomes == {"stored": 3}


def test_a_reindex_takes_no_registry_from_workers_that_are_at_work(
    crawl, scrapy, feed, archive, valkey, tmp_path, environment
):
    env = {"REDIS_URL": valkey.url}
    feed.set(clock=CLOCK)
    assert crawl(**NOON, env=env).outcomes == {"stored": 1}
    body = live_body(feed)
    asked, go_on = threading.Event(), threading.Event()

    def answer(request):
        asked.set()
        go_on.wait(60)
        return 200, JSON, body

    args = [part for item in LATER.items() for part in ("-a", "=".join(item))]
    with Scripted(answer) as server:
        slow = {**environment, **env, "MISO_API_URL": server.url}
        with started(tmp_path, slow, *args) as process:
            try:
                assert asked.wait(60)
                other = {**env, "MISO_DATA_DIR": str(tmp_path / "other")}
                done = scrapy("reindex", env=other)
            finally:
                go_on.set()
            process.communicate(timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "at work" in done.stderr
    assert process.returncode == 0
    assert crawl(**NOON, env=env).outcomes == {"skipped": 1}


def test_a_run_ends_when_its_registry_is_given_to_another_archive_meanwhile(
    crawl, feed, archive, valkey
):
    feed.set(clock=CLOCK, advance=5)
    body = live_body(feed)

    def answer(request):
        if len(server.requests) == 2:
            while not archive.files():  # filed, so that the registry is bound
                time.sleep(0.01)
            valkey.client.set(REMEMBERED, "another")
        return 200, JSON, body

    with Scripted(answer) as server:
        env = {"REDIS_URL": valkey.url, "MISO_API_URL": server.url}
        run = crawl(**{**RANGE, "end": "2025-12-05T13:00"}, env=env)
    assert run.status == 1
    assert len(server.requests) < 6  # of 13: what was claimed before
    (line,) = [line for line in run.lines("ERROR") if "The run ends here" in line]
    assert "scrapy reindex" in line


def test_an_archive_that_was_moved_is_the_same(crawl, feed, archive, valkey, tmp_path):
    env = {"REDIS_URL": valkey.url}
    feed.set(clock=CLOCK, advance=5)
    assert crawl(**RANGE, env=env).outcomes == {"stored": 3}
    archive.root.rename(tmp_path / "moved")
    run = crawl(**RANGE, env={**env, "MISO_DATA_DIR": str(tmp_path / "moved")})
    assert (run.status, run.outcomes) == (0, {"skipped": 3})


@places
def test_two_first_workers_agree_on_the_identity(kind, request, crawl, feed, valkey):
    place = place_of(request, kind)
    env = {"REDIS_URL": valkey.url, **place.env}
    feed.set(clock=CLOCK, advance=5)
    ranges = [RANGE, {"start": "2025-12-05T12:05", "end": "2025-12-05T12:15"}]
    with ThreadPoolExecutor() as both:
        runs = list(both.map(lambda wanted: crawl(**wanted, env=env), ranges))
    assert [run.status for run in runs] == [0, 0], runs[0].log + runs[1].log
    assert len(filed(place)) == 4
    assert valkey.client.get(REMEMBERED) == identity(place)["id"]


def test_what_is_only_read_gets_no_identity(crawl, scrapy, feed, archive, tmp_path):
    samples.file(archive.root, "2025-12-05", "12:00", {"12:00": 80_000})
    for command in (["audit"], ["export", "-o", "tables"], ["report", "-o", "r.html"], ["doctor"]):
        scrapy(*command)
    feed.set(clock=CLOCK, faults=["status=404"])
    assert crawl(**NOON).outcomes == {"failed": 1}
    assert identity(Directory(archive.root)) is None


def test_a_writer_with_the_least_permissions_has_an_identity_as_well(
    crawl, scrapy, feed, bucket, valkey
):
    least = LeastBucket()
    feed.set(clock=CLOCK, advance=5)
    with Scripted(least) as s3:
        env = {"REDIS_URL": valkey.url, **bucket.settings, "AWS_ENDPOINT_URL": s3.endpoint}
        run = crawl(**RANGE, env=env)
        assert (run.status, run.outcomes) == (0, {"stored": 3}), run.log
        assert f"/{bucket.name}/{IDENTITY}" in least.files(bucket.name)
        assert crawl(**RANGE, env=env).outcomes == {"skipped": 3}
        assert crawl(**LATER, env=env).outcomes == {"stored": 1}
        # A registry that was lost is bound again; another bucket is refused.
        valkey.client.flushall()
        feed.requests.clear()
        refused_env = {**env, "S3_BUCKET": "another"}
        assert crawl(start="2025-12-05T14:00", end="2025-12-05T14:00", env=env).outcomes == {
            "stored": 1
        }
        feed.requests.clear()
        refused(crawl(**RANGE, env=refused_env), feed, "scrapy reindex")
        assert least.files("another") == []
        # What cannot be listed cannot be registered: the registry keeps what it has.
        assert scrapy("reindex", env=refused_env).returncode == 1
        assert crawl(start="2025-12-05T14:00", end="2025-12-05T14:00", env=env).outcomes == {
            "skipped": 1
        }


def test_of_two_first_identities_the_store_keeps_one(bucket):
    theirs = Identity("theirs", Kind.REAL)
    least = LeastBucket()

    def answer(request):
        answered = least(request)
        if not least.objects:  # another worker comes between our look and our own
            least.objects[f"/{bucket.name}/{IDENTITY}"] = theirs.dump()
        return answered

    with Scripted(answer) as s3:
        names = {"AWS_ENDPOINT_URL": s3.endpoint, "AWS_REGION_NAME": "us-east-1"}
        store = S3Store.from_settings({**bucket.settings, **names})
        assert identify(store, Kind.SIMULATED) == theirs
    assert [request.method for request in s3.requests if IDENTITY in request.path] == [
        "GET", "PUT", "GET",
    ]  # fmt: skip


def test_what_another_first_worker_has_filed_meanwhile_is_not_taken_for_an_earlier_version_s(
    bucket,
):
    theirs = Identity("theirs", Kind.SIMULATED)
    least = LeastBucket()

    def answer(request):
        if "list-type" not in request.path:
            return least(request)
        # Since our look for an identity another worker has made one, and filed its first snapshot.
        least.objects[f"/{bucket.name}/{IDENTITY}"] = theirs.dump()
        entry = f"<Key>{samples.path_of(samples.est('2025-12-05', '12:00'))}</Key><ETag>etag</ETag>"
        listing = f"<ListBucketResult><Contents>{entry}</Contents></ListBucketResult>"
        return 200, {}, listing.encode()

    with Scripted(answer) as s3:
        names = {"AWS_ENDPOINT_URL": s3.endpoint, "AWS_REGION_NAME": "us-east-1"}
        store = S3Store.from_settings({**bucket.settings, **names})
        assert identify(store, Kind.SIMULATED) == theirs


# --- From an earlier version, or made by hand -------------------------------------------------


@places
def test_an_archive_and_its_registry_of_an_earlier_version_go_on_together_and_with_no_other(
    kind, request, crawl, feed, valkey, tmp_path
):
    place = place_of(request, kind)
    env = {"REDIS_URL": valkey.url, **place.env}
    with real(feed.set(clock=CLOCK, advance=5)) as server:
        env["MISO_API_URL"] = server.url
        assert crawl(**RANGE, env=env).outcomes == {"stored": 3}
        place.remove(IDENTITY)
        valkey.client.delete(REMEMBERED)

        # An archive that does not hold what is registered is another, whatever its files are called.
        samples.file(tmp_path / "other", "2025-12-05", "07:00", {"07:00": 80_000})
        server.requests.clear()
        other = {**env, "S3_BUCKET": "", "MISO_DATA_DIR": str(tmp_path / "other")}
        run = crawl(**RANGE, env=other)
        assert (run.status, run.outcomes, server.requests) == (1, {}, []), run.log
        (line,) = run.lines("ERROR")
        assert "scrapy reindex" in line

        assert crawl(**RANGE, env=env).outcomes == {"skipped": 3}
        assert identity(place) is None  # nothing was written
        assert crawl(**LATER, env=env).outcomes == {"stored": 1}
    assert identity(place)["kind"] == "real"
    assert valkey.client.get(REMEMBERED) == identity(place)["id"]


def test_an_archive_without_an_identity_is_a_real_one(crawl, scrapy, feed, archive):
    samples.file(archive.root, "2025-12-05", "12:00", {"12:00": 80_000})
    ((path, before),) = filed(Directory(archive.root)).items()
    feed.set(clock=CLOCK, advance=5)
    run = crawl(**RANGE)
    assert (run.status, set(run.outcomes)) == (1, {"failed"}), run.log
    (line,) = run.lines("ERROR")
    assert "simulated" in line
    assert list(filed(Directory(archive.root))) == [path]
    with real(feed) as server:
        assert crawl(**RANGE, env={"MISO_API_URL": server.url}).outcomes == {"stored": 3}
    assert identity(Directory(archive.root))["kind"] == "real"
    assert filed(Directory(archive.root))[path] == before


@pytest.mark.parametrize("text", ["[]", '{"id": "x"}', '{"id": "x", "kind": "copied"}'])
def test_an_identity_that_cannot_be_read_is_told_in_one_line(text, crawl, feed, archive):
    Directory(archive.root).put(IDENTITY, text.encode())
    feed.requests.clear()
    refused(crawl(**NOON), feed, "archive.json")


# --- Simulated data never mixes with real data ------------------------------------------------


@pytest.mark.parametrize("shape", ["live", "documented"])
def test_what_the_simulator_answers_is_known_by_the_answer_and_by_the_document(
    shape, crawl, feed, archive
):
    feed.set(clock=CLOCK, faults=["documented"] if shape == "documented" else [])
    answer = json.loads(live_body(feed))
    assert (answer if shape == "documented" else answer["LoadInfo"])["Simulated"] is True
    assert crawl(**NOON).outcomes == {"stored": 1}
    assert archive.only()["data"]["Simulated"] is True
    assert identity(Directory(archive.root))["kind"] == "simulated"


@pytest.mark.parametrize(
    ("first", "cache", "arguments"),
    [
        ("real", True, {}),
        ("real", False, {"skip_hash_check": 1}),
        ("simulated", False, {}),
        ("simulated", True, {"skip_hash_check": 1}),
    ],
)
def test_an_archive_refuses_the_other_kind(first, cache, arguments, crawl, feed, archive):
    feed.set(clock=CLOCK, advance=5)
    with real(feed) as server:
        env = {"real": {"MISO_API_URL": server.url}, "simulated": {}}
        assert crawl(**NOON, env=env.pop(first)).outcomes == {"stored": 1}
        before = files_below(archive.root)
        ((second, feed_env),) = env.items()
        wanted = {"start": "2025-12-05T12:05", "end": "2025-12-05T14:00"}
        run = crawl(**wanted, **arguments, interval=60 * cache, env=feed_env)
    assert run.status == 1
    assert set(run.outcomes) == {"failed"}
    (line,) = run.lines("ERROR")
    assert f"a {second} snapshot" in line
    assert f"{first} ones" in line
    assert "Traceback" not in run.log
    assert files_below(archive.root) == before
    assert identity(Directory(archive.root))["kind"] == first


def test_what_covers_no_candidate_or_is_forced_is_refused_as_well(crawl, feed, archive):
    feed.set(clock=CLOCK, advance=5)
    with real(feed) as server:
        assert crawl(**NOON, env={"MISO_API_URL": server.url}).outcomes == {"stored": 1}
    before = files_below(archive.root)
    past = {"start": "2025-11-28T12:00", "end": "2025-11-28T12:10"}
    for run in (crawl(**past), crawl(**NOON, force=1)):
        assert run.status == 1
        (line,) = run.lines("ERROR")
        assert "simulated" in line
    feed.serve('{"LoadInfo": {"RefId": "soon", "Simulated": true}}')
    run = crawl(**LATER)
    assert (run.status, run.outcomes) == (1, {"invalid": 1})
    assert "simulated" in run.lines("ERROR")[-1]
    assert files_below(archive.root) == before


def test_what_is_simulated_stays_in_the_quarantine_of_a_real_archive(crawl, scrapy, feed, archive):
    place = Directory(archive.root)
    feed.set(clock=CLOCK)
    with real(feed) as server:
        assert crawl(**NOON, env={"MISO_API_URL": server.url}).outcomes == {"stored": 1}
    feed.serve("{}")
    assert crawl(**LATER).outcomes == {"invalid": 1}
    (wrong,) = quarantined(place)
    body = live_body(feed.set(clock="2025-12-05T12:45:00+00:00"))
    identifier = "realtime_total_load_20251205_124500.json"
    key = put_into_quarantine(place, body, wrong, identifier=identifier)
    place.remove(wrong)
    before = place.files()
    done = scrapy("requeue")
    run = Run(done.returncode, done.stdout + done.stderr)
    assert run.status == 1
    (line,) = run.lines("ERROR")
    assert "simulated" in line
    assert place.files() == before
    assert key in before


# --- scrapy simulate --------------------------------------------------------------------------

SHOW = (
    "import os; print(*(os.environ.get(name, '-') for name in ('MISO_DATA_DIR', 'S3_BUCKET', "
    "'REDIS_URL', 'REDIS_HOST', 'KAFKA_BROKERS', 'KAFKA_TOPIC', 'METRICS_FILE', 'RETRY_TIMES')))"
)


def test_simulate_goes_nowhere_that_the_environment_happens_to_name(
    scrapy, archive, bucket, valkey, topic, tmp_path
):
    metrics = tmp_path / "miso.prom"
    env = {
        **bucket.settings,
        **topic.settings,
        "REDIS_URL": valkey.url,
        "METRICS_FILE": str(metrics),
    }
    command = (SCRAPY, "crawl", "miso_rtload", *("-s", "MISO_MIN_INTERVAL=0"))
    arguments = ("-a", "start=2025-12-05T12:00", "-a", "end=2025-12-05T12:00")
    clock = ("--clock", "2025-12-05T12:00Z")
    done = scrapy("simulate", *clock, "--", *command, *arguments, env=env)
    assert done.returncode == 0, done.stderr
    place = Directory(tmp_path / "simulated")
    assert len(filed(place)) == 1
    assert identity(place)["kind"] == "simulated"
    assert (tmp_path / "simulated" / ".registry").exists()
    assert bucket.keys() == []
    assert list(valkey.client.scan_iter()) == []
    assert topic.messages() == []
    assert not archive.root.exists()
    assert not metrics.exists()

    # What the command itself says wins.
    own = tmp_path / "own"
    done = scrapy(
        "simulate", *clock, "--", *command, *arguments, "-s", f"MISO_DATA_DIR={own}", env=env
    )
    assert done.returncode == 0, done.stderr
    assert len(filed(Directory(own))) == 1

    # And so does who asks for it.
    done = scrapy("simulate", "--keep-environment", *clock, "--", *command, *arguments, env=env)
    assert done.returncode == 0, done.stderr
    assert len(bucket.keys()) == 1
    assert valkey.client.exists(REMEMBERED)
    assert len(topic.messages()) == 1
    assert metrics.exists()


def test_simulate_takes_from_the_environment_what_names_a_place_and_nothing_else(scrapy, tmp_path):
    places = dict.fromkeys(
        ("S3_BUCKET", "REDIS_URL", "REDIS_HOST", "KAFKA_BROKERS", "KAFKA_TOPIC"), "x"
    )
    env = {**places, "METRICS_FILE": "x", "RETRY_TIMES": "7"}
    done = scrapy("simulate", "--", sys.executable, "-c", SHOW, env=env)
    assert done.stdout.split() == [str(tmp_path / "simulated"), *["-"] * 6, "7"], done.stderr


def test_an_archive_that_is_written_is_simulated_and_never_among_real_files(scrapy, tmp_path):
    days = ("--start", "2025-12-05", "--end", "2025-12-06")
    assert scrapy("simulate", "--write", "new", *days).returncode == 0
    assert identity(Directory(tmp_path / "new"))["kind"] == "simulated"
    document = next(iter(sorted((tmp_path / "new").rglob("*.json.gz"))))
    assert json.loads(gzip.decompress(document.read_bytes()))["data"]["Simulated"] is True

    samples.file(tmp_path / "hand", "2025-03-01", "12:00", {"12:00": 80_000})
    Directory(tmp_path / "real").put(IDENTITY, b'{"id": "x", "kind": "real"}')
    for name in ("hand", "real"):
        before = files_below(tmp_path / name)
        done = scrapy("simulate", "--write", name, *days)
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
        assert "real" in done.stderr
        assert files_below(tmp_path / name) == before


# --- What is made of it -----------------------------------------------------------------------


def kinds(target):
    """What the tables say that they are made of."""
    return {
        pq.read_metadata(path).metadata[b"miso_scrapy.kind"]
        for path in target.glob("*/market_day=*/*.parquet")
    }


def test_report_audit_and_export_say_that_an_archive_is_simulated(scrapy, tmp_path, archive):
    days = ("--start", "2025-12-05", "--end", "2025-12-06")
    assert scrapy("simulate", "--write", "new", *days).returncode == 0
    samples.file(archive.root, "2025-12-06", "12:00", samples.until("12:00", 80_000))
    simulated = ("-s", "MISO_DATA_DIR=new")

    def told(*args):
        done = scrapy(*args)
        assert "Traceback" not in done.stderr
        return done.stdout

    assert "simulated" in told("audit", *simulated)
    assert "simulated" not in told("audit")
    assert json.loads(told("audit", "--json", *simulated))["simulated"] is True
    assert json.loads(told("audit", "--json"))["simulated"] is False

    assert "simulated" in told("report", "-o", "new.html", *simulated)
    assert "simulated" not in told("report", "-o", "data.html")
    page = (tmp_path / "new.html").read_text()
    assert "simulated" in page.partition("<main")[0]
    assert "simulated" in page.partition("<title>")[2].partition("</title>")[0]
    assert "simulated" not in (tmp_path / "data.html").read_text().partition("<script")[0]

    assert "simulated" in told("export", "-o", "tables", *simulated)
    assert kinds(tmp_path / "tables") == {b"simulated"}
    assert "1 unchanged" in told("export", "-o", "tables", *simulated)
    assert "simulated" in told("export", "-o", "load.csv", "--format", "csv", *simulated)
    assert "simulated" not in told("export", "-o", "real")
    assert kinds(tmp_path / "real") == {b"real"}

    # Nor do the tables mix.
    for source, target in ((), "tables"), (simulated, "real"):
        before = export_reader.tables(tmp_path / target)
        done = scrapy("export", "-o", target, *source)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert "-o" in done.stderr
        assert export_reader.tables(tmp_path / target).keys() == before.keys()


def test_doctor_tells_of_a_registry_of_another_archive(crawl, scrapy, feed, valkey, tmp_path):
    env = {"REDIS_URL": valkey.url}
    feed.set()
    assert crawl(env=env).outcomes == {"stored": 1}
    done = scrapy("doctor", env=env)
    assert done.returncode == 0, done.stdout
    assert "simulated" in done.stdout
    done = scrapy("doctor", env={**env, "MISO_DATA_DIR": str(tmp_path / "other")})
    assert done.returncode == 1
    assert "another archive" in done.stdout
    assert "scrapy reindex" in done.stdout
