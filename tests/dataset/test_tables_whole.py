"""Exports that are killed, that run at once, that have lost files: readers see whole days."""

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.support import messy_archive, naive_fold, samples, table_files, warm_start
from tests.support.project import SCRAPY
from tests.support.s3_requests import CountingProxy
from tests.support.samples import est

DAYS = ["2026-05-01", "2026-05-02"]
COMPLAINTS = ("cannot be read: ", "left out: ")


class Directory:
    """An archive and its tables, in directories."""

    tables = "tables"
    env = {}  # noqa: RUF012

    def __init__(self, tmp_path):
        self.root = tmp_path / "data"
        self.target = tmp_path / "tables"

    def put(self, documents):
        for key, body in documents:
            path = self.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def remove(self, keys):
        for key in keys:
            (self.root / key).unlink()

    def files(self):
        return table_files.in_directory(self.target)

    def pending(self):
        return list((self.target / "_pending").glob("*"))

    def stop(self):
        pass


class S3:
    """An archive and its tables in a bucket, behind a proxy."""

    def __init__(self, bucket):
        self.bucket = bucket
        self.proxy = CountingProxy(int(bucket.endpoint.rsplit(":", 1)[1]))
        self.tables = f"s3://{bucket.name}/out/tables"
        self.env = {**bucket.settings, "AWS_ENDPOINT_URL": f"http://{self.proxy.address}"}

    def put(self, documents):
        for key, body in documents:
            self.bucket.client.put_object(Bucket=self.bucket.name, Key=key, Body=body)

    def remove(self, keys):
        for key in keys:
            self.bucket.client.delete_object(Bucket=self.bucket.name, Key=key)

    def files(self):
        return table_files.in_bucket(self.bucket.client, self.bucket.name, "out/tables")

    def pending(self):
        keys = self.bucket.keys()
        return [key for key in keys if "/_pending/" in key]

    def stop(self):
        self.proxy.stop()


@pytest.fixture(params=["directory", "S3"])
def place(request, tmp_path):
    place = (
        Directory(tmp_path)
        if request.param == "directory"
        else S3(request.getfixturevalue("bucket"))
    )
    yield place
    place.stop()


@pytest.fixture
def s3(bucket):
    place = S3(bucket)
    yield place
    place.stop()


@contextlib.contextmanager
def exporting(tmp_path, environment, place, env=None):
    """A `scrapy export` in a session of its own; nothing of it is left."""
    with open(tmp_path / f"said-{time.monotonic_ns()}", "w+") as said:
        process = warm_start.Process(
            [SCRAPY, "export", "-o", place.tables],
            cwd=tmp_path,
            env={**environment, **(env or place.env)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        process.said = Path(said.name).read_text
        try:
            yield process
        finally:
            kill(process)
            process.wait(60)


def kill(process):
    """Kill the command and all that work for it, as `kill -9` does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def told(files):
    return table_files.without_empty_days(naive_fold.fold(dict(files)))


class Seen:
    """What a reader saw of each table of each day: never less than before."""

    def __init__(self):
        self.states = []
        self.last = {}

    def check(self, files, folded):
        """Each of *files* has to be of one of the states that the archive had, and not go back."""
        self.states.append(folded)
        for path, body in files.items():
            table, day, _ = table_files.PATH.fullmatch(path).groups()
            rows = table_files.rows(body, table)  # whole: it can be read
            same = [n for n, state in enumerate(self.states) if state[table].get(day, []) == rows]
            assert same, f"{path} is of no state of the archive"
            assert max(same) >= self.last.get(path, 0), f"{path} went back"
            self.last[path] = min(n for n in same if n >= self.last.get(path, 0))
        assert self.last.keys() <= files.keys(), "a table has gone"


def in_parts(documents, number):
    """Cut *documents* into *number* parts; the first is the largest, as in an archive that grows."""
    first = len(documents) // 2
    size = -(-(len(documents) - first) // (number - 1))
    begins = range(first, len(documents), size)
    return [documents[:first], *(documents[begin : begin + size] for begin in begins)]


# --- Killed -----------------------------------------------------------------------------------


def test_killed_at_any_request_to_s3_while_the_archive_grows(tmp_path, environment, scrapy, s3):
    documents = messy_archive.documents(11, DAYS, 9)
    moments = [(4, False), (2, False), (4, True), (7, False), (1, True), (6, True)]
    there, seen, killed, running = [], Seen(), 0, {}
    for part, (number, answered) in zip(in_parts(documents, 6), moments, strict=False):
        s3.put(part)
        there += part
        s3.proxy.when(
            rb"^PUT .*/out/tables/", number, lambda: kill(running["process"]), answered=answered
        )
        with exporting(tmp_path, environment, s3) as process:
            running["process"] = process
            killed += process.wait(120) == -signal.SIGKILL
        s3.proxy._hooks.clear()
        seen.check(s3.files(), told(there))
    assert killed >= 4
    scrapy("export", "-o", s3.tables, env=s3.env)
    assert table_files.differences(table_files.tables(s3.files()), told(there)) == []
    assert s3.pending() == []


def test_killed_at_random_moments_in_a_directory_while_the_archive_grows(
    tmp_path, environment, scrapy
):
    place = Directory(tmp_path)
    documents = messy_archive.documents(12, DAYS, 9)
    dice, there, seen, killed = random.Random(12), [], Seen(), 0

    def stamps():
        # Partial files too: they come before a table is replaced.
        found = set()
        for folder, _, names in os.walk(place.target):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    found.add((folder, name, os.stat(os.path.join(folder, name)).st_ino))
        return {each for each in found if each[1] != ".lock"}

    for part in in_parts(documents, 6):
        place.put(part)
        there += part
        before, changes = stamps(), dice.randint(1, 8)
        with exporting(tmp_path, environment, place) as process:
            while process.poll() is None and len(stamps() - before) < changes:
                time.sleep(0.001)
            time.sleep(dice.random() * 0.003)
            kill(process)
            killed += process.wait(120) == -signal.SIGKILL
        seen.check(place.files(), told(there))
    assert killed >= 2
    for left_behind in (place.target / ".partial").iterdir():
        os.utime(left_behind, (0, 0))  # of a run that ended long ago
    scrapy("export", "-o", "tables")
    assert table_files.differences(table_files.tables(place.files()), told(there)) == []
    assert place.pending() == []
    # Nothing of the killed runs is left behind.
    rest = {path.name for path in place.target.rglob("*") if path.is_file()}
    assert {name for name in rest if not name.endswith(".parquet")} <= {"_manifest.json", ".lock"}


def test_three_writers_at_once_one_of_them_killed(tmp_path, environment, scrapy, place):
    documents = messy_archive.documents(13, DAYS, 9)
    there, seen = [], Seen()
    for part in in_parts(documents, 3):
        place.put(part)
        there += part
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(exporting(tmp_path, environment, place)) for _ in range(3)
            ]
            if isinstance(place, S3):
                place.proxy.when(rb"^PUT .*/out/tables/", 5, lambda: kill(writers[0]))  # noqa: B023
            else:
                before = place.files()
                while all(w.poll() is None for w in writers) and place.files() == before:
                    time.sleep(0.001)
                kill(writers[0])
            for writer in writers:
                assert writer.wait(240) in (0, 1, -signal.SIGKILL)  # 1: there are damaged files
            for writer in writers[1:]:
                lines = [line for line in writer.said().splitlines() if line]
                assert any(" exported from " in line for line in lines), lines
                bad = [line for line in lines if not line.startswith(COMPLAINTS)]
                assert len(bad) == 1, bad
        if isinstance(place, S3):
            place.proxy._hooks.clear()
        seen.check(place.files(), told(there))
        # Whoever was killed, the others have done the work.
        found = table_files.tables(place.files())
        assert table_files.differences(found, told(there)) == []
    scrapy("export", "-o", place.tables, env=place.env)
    assert table_files.differences(table_files.tables(place.files()), told(there)) == []
    assert place.pending() == []


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        (rb"^GET .*\.json\.gz", False),
        (rb"^PUT .*/out/tables/", True),
        (rb"^PUT .*/out/tables/", False),
        (rb"^PUT .*/out/tables/_manifest", False),
    ],
    ids=["before it reads", "before it writes at all", "before it writes", "before it remembers"],
)
def test_a_slow_writer_that_knows_less_takes_nothing_from_a_quick_one(
    tmp_path, environment, scrapy, s3, pattern, first
):
    """One has listed the archive and is held up; the archive grows, and another exports it."""
    known, more, last = in_parts(messy_archive.documents(18, DAYS[:1], 9), 3)
    s3.put(known)
    if not first:
        scrapy("export", "-o", s3.tables, env=s3.env)
    s3.put(more)
    held = threading.Event()

    def hold():
        s3.proxy.turn("hang")
        held.set()

    s3.proxy.when(pattern, 1, hold)
    everything = told([*known, *more, *last])
    with exporting(tmp_path, environment, s3) as slow:
        assert held.wait(120), slow.said()
        s3.put(last)
        quick = scrapy("export", "-o", s3.tables, env=s3.bucket.settings)
        assert " exported from " in quick.stdout
        assert table_files.differences(table_files.tables(s3.files()), everything) == []
        s3.proxy.go_on()
        assert slow.wait(240) in (0, 1)
        assert "Traceback" not in slow.said()
    assert table_files.differences(table_files.tables(s3.files()), everything) == []
    scrapy("export", "-o", s3.tables, env=s3.env)
    assert table_files.differences(table_files.tables(s3.files()), everything) == []
    assert s3.pending() == []


# --- A day's tables are replaced together -----------------------------------------------------


@pytest.mark.parametrize(
    ("number", "answered"),
    [(2, False), (3, True), (7, False)],  # the journal, five tables at once, the manifest
    ids=["no table replaced", "some tables replaced", "all but the manifest"],
)
def test_a_day_that_was_replaced_by_half_is_finished_by_the_next_run(
    tmp_path, environment, scrapy, s3, number, answered
):
    """The network goes away between two tables of a day, and the export is killed."""
    documents = messy_archive.documents(14, DAYS[:1], 8)
    s3.put(documents)
    scrapy("export", "-o", s3.tables, env=s3.env)
    before = told(documents)
    assert table_files.differences(table_files.tables(s3.files()), before) == []

    at = est(DAYS[0], "23:55")
    snapshot = samples.data(at, samples.until("23:55", 1), {1: 1, 2: 2}, {3: 3})
    candidate = at + 3 * samples.INTERVAL
    new = (samples.path_of(candidate), samples.document(snapshot, candidate, est("2026-05-03")))
    s3.put([new])
    after = told([*documents, new])
    s3.proxy.stop_at("PUT", number, answered=answered)
    with exporting(tmp_path, environment, s3) as process:
        assert s3.proxy.stopped.wait(120), process.said()
        kill(process)
    s3.proxy.go_on()
    found = table_files.tables(s3.files())
    states = {
        table: "after" if found[table][DAYS[0]] == after[table][DAYS[0]] else "before"
        for table in found
        if before[table][DAYS[0]] != after[table][DAYS[0]]
    }
    assert len(states) == 5
    assert ("after" in states.values()) == (number > 2)

    def audited(*args):
        done = scrapy("audit", "--json", *args, env=s3.env)
        figures = json.loads(done.stdout)
        for each in (*figures["days"], figures["total"]):
            each.pop("newest_age_minutes")
        return done.returncode, sorted(done.stderr.splitlines()), figures

    assert audited("--tables", s3.tables) == audited()
    assert table_files.differences(table_files.tables(s3.files()), after) == []
    assert s3.pending() == []


def test_a_day_that_was_replaced_by_half_is_finished_without_the_file_that_changed_it(
    tmp_path, environment, scrapy, s3
):
    """The snapshot is gone when the next run comes: its values are in some tables of the day."""
    documents = messy_archive.documents(15, DAYS[:1], 8)
    s3.put(documents)
    scrapy("export", "-o", s3.tables, env=s3.env)
    at = est(DAYS[0], "23:55")
    snapshot = samples.data(at, samples.until("23:55", 1), {1: 1, 2: 2}, {3: 3})
    candidate = at + 3 * samples.INTERVAL
    new = (samples.path_of(candidate), samples.document(snapshot, candidate, est("2026-05-03")))
    s3.put([new])
    s3.proxy.stop_at("PUT", 4, answered=True)
    with exporting(tmp_path, environment, s3) as process:
        assert s3.proxy.stopped.wait(120), process.said()
        kill(process)
    s3.proxy.go_on()
    s3.remove([new[0]])
    scrapy("export", "-o", s3.tables, env=s3.env)
    found = table_files.tables(s3.files())
    assert table_files.differences(found, told([*documents, new])) == []
    assert s3.pending() == []


# --- Files that are lost ----------------------------------------------------------------------


def test_tables_that_know_more_than_the_archive_never_shrink(tmp_path, scrapy, place):
    documents = messy_archive.documents(16, DAYS, 9)
    place.put(documents)
    scrapy("export", "-o", place.tables, env=place.env)
    before = told(documents)
    assert table_files.differences(table_files.tables(place.files()), before) == []
    dice = random.Random(16)
    gone = dice.sample(documents, len(documents) * 2 // 3)
    place.remove(key for key, _ in gone[::2])
    scrapy("export", "-o", place.tables, env=place.env)
    assert table_files.differences(table_files.tables(place.files()), before) == []
    # Some are lost, some are damaged; and each day goes on.
    place.remove(key for key, _ in gone[1::2])
    new = []
    for day in DAYS:
        at = est(day, "23:55")
        candidate = next(
            candidate
            for candidate in (at + number * samples.INTERVAL for number in range(4))
            if samples.path_of(candidate) not in dict(documents)
        )
        snapshot = samples.data(at, samples.until("23:55", 3), {1: 1, 24: 2}, {3: 3})
        late = est("2026-05-09")
        new.append((samples.path_of(candidate), samples.document(snapshot, candidate, late)))
    place.put(new)
    scrapy("export", "-o", place.tables, env=place.env)
    expected = told({**dict(documents), **dict(new)}.items())
    assert table_files.differences(table_files.tables(place.files()), expected) == []
    # What comes back changes nothing.
    place.put(gone)
    scrapy("export", "-o", place.tables, env=place.env)
    assert table_files.differences(table_files.tables(place.files()), expected) == []


# --- What is read -----------------------------------------------------------------------------


def test_the_next_run_lists_the_archive_and_reads_only_what_changed(scrapy, s3):
    documents = messy_archive.documents(17, [*DAYS, "2026-05-05"], 9)
    s3.put(documents)

    def asked(*args):
        """Run a command; return the paths that it read, the paths that it wrote, the rest."""
        s3.proxy.requests.clear()
        done = scrapy(*args, env=s3.env)
        assert "Traceback" not in done.stderr
        bodies = [path for path in s3.proxy.of("GET") if "list-type=2" not in path]
        listings = [path for path in s3.proxy.of("GET") if "list-type=2" in path]
        changes = [path for method in ("PUT", "POST", "DELETE") for path in s3.proxy.of(method)]
        return bodies, changes, listings

    first, _, _ = asked("export", "-o", s3.tables)
    assert sum(path.endswith(".json.gz") for path in first) >= len(documents)
    for command in (
        ("export", "-o", s3.tables),
        ("audit", "--tables", s3.tables),
        ("audit", "--json", "--start", DAYS[0], "--end", DAYS[1], "--tables", s3.tables),
    ):
        bodies, changes, listings = asked(*command)
        # The archive's identity, and what is remembered beside the tables.
        assert {path.rpartition("/")[2] for path in bodies} <= {"archive.json", "_manifest.json"}
        assert len(bodies) <= 3
        assert changes == []
        assert len(listings) <= 8

    # A snapshot more: the files of its day are read, and its tables; nothing else.
    at = est(DAYS[1], "14:00")
    candidate = at + samples.INTERVAL
    s3.put(
        [(samples.path_of(candidate), samples.document(samples.data(at, {"14:00": 9}), candidate))]
    )
    bodies, changes, _ = asked("export", "-o", s3.tables)
    folded = told(documents)
    of_day = {row["key"] for row in folded["snapshots"][DAYS[1]]} | {samples.path_of(candidate)}
    near = {
        samples.path_of(est(DAYS[1]) + number * samples.INTERVAL)
        for number in (*range(-3, 4), *range(284, 292))
    }
    files = [path.partition("/sourcing/")[2] for path in bodies if path.endswith(".json.gz")]
    assert len(files) == len(set(files))
    assert {f"sourcing/{file}" for file in files} <= of_day | near
    touched = {path for path in (*bodies, *changes) if path.endswith(".parquet")}
    assert all(f"/market_day={DAYS[1]}/" in path for path in touched)
    assert len([path for path in changes if path.endswith(".parquet")]) <= 5
