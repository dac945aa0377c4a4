"""At most one request per MISO_MIN_INTERVAL, whatever happens: promise 9."""

import contextlib
import gzip
import itertools
import signal
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.support.crawl import Run, read_until, started, wait_for
from tests.support.scripted_server import Scripted
from tests.support.servers import live_body
from tests.support.tcp_proxy import Proxy

CLOCK = "2025-12-05T12:35:00+00:00"
JSON = {"Content-Type": "application/json"}
HOUR = {"start": "2025-12-05T12:00", "end": "2025-12-05T16:55"}  # 60 candidates
FEW = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:25"}  # 6 candidates
NOON = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:00"}
FIRST, LAST = "realtime_total_load_20251205_120000.json", "realtime_total_load_20251205_165500.json"
INTERVAL = 1.5


@pytest.fixture
def body(feed):
    feed.set(clock=CLOCK)
    return live_body(feed)


@pytest.fixture(params=["embedded", "redis"])
def registry(request):
    """The settings of a run: the registry is embedded, or a Redis."""
    if request.param == "embedded":
        return {}
    return {"REDIS_URL": request.getfixturevalue("valkey").url}


@pytest.fixture
def ask(scrapy):
    """Run a crawl that asks *server* at most once per interval: ask(server, **arguments) -> Run."""

    def run(server, *, env=None, interval=INTERVAL, command="crawl", **arguments):
        args = [part for item in arguments.items() for part in ("-a", "{}={}".format(*item))]
        spider = ["miso_rtload"] if command == "crawl" else []
        env = {"MISO_API_URL": server.url, "MISO_MIN_INTERVAL": str(interval), **(env or {})}
        done = scrapy(command, *spider, *args, env=env)
        return Run(done.returncode, done.stdout + done.stderr)

    return run


def gaps(requests):
    """The seconds between one request and the next."""
    times = sorted(request.at for request in requests)
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def polite(server, number=None, interval=INTERVAL):
    """Whether no two of the requests, *number* in all, came within an interval."""
    assert number is None or len(server.requests) == number, gaps(server.requests)
    assert all(gap >= interval for gap in gaps(server.requests)), gaps(server.requests)
    return True


def errors(run):
    return run.lines("ERROR") + run.lines("WARNING")


# --- One failure fails everybody ------------------------------------------------------------------


def test_a_404_ends_all_candidates_with_one_request_and_one_line(ask, registry):
    with Scripted(lambda _: (404, {}, b"")) as server:
        run = ask(server, env=registry, **HOUR)
        assert (run.status, run.outcomes) == (1, {"failed": 60})
        assert polite(server, 1)
        (line,) = errors(run)
        assert f"failed 60 candidates, {FIRST} to {LAST}: HTTP 404 from {server.url}; " in line
        assert "check MISO_API_URL" in line
        run = ask(server, env=registry, **HOUR)
        assert polite(server, 2)
    assert (run.stats["miso/requests"], run.stats["miso/shared"]) == (1, 0)


def test_a_503_is_tried_again_at_each_turn_and_then_ends_all_candidates(ask, registry):
    with Scripted(lambda _: (503, {}, b"")) as server:
        run = ask(server, env={**registry, "RETRY_TIMES": "2"}, **HOUR)
        assert polite(server, 3)
    assert (run.status, run.outcomes) == (1, {"failed": 60})
    (line,) = errors(run)
    assert f"failed 60 candidates, {FIRST} to {LAST}: HTTP 503 " in line
    assert "after 3 tries; run the same range again" in line
    assert run.stats["miso/requests"] == 3


@pytest.mark.parametrize("fault", ["cut", "reset", "error", "html", "empty", "delay=9"])
def test_each_failed_fetch_is_tried_again_when_its_turn_comes(ask, feed, fault, archive):
    feed.set(clock=CLOCK, faults=[f"{fault}*1"])
    run = ask(feed, env={"DOWNLOAD_TIMEOUT": "1"}, interval=2, **FEW)
    assert (run.status, run.outcomes) == (0, {"stored": 1, "duplicate": 5})
    assert len(feed.requests) == 2
    assert (run.stats["miso/requests"], run.stats["miso/shared"]) == (2, 5)
    assert len(archive.files()) == 1


@pytest.mark.parametrize(
    ("body", "tries"),
    [(b"no gzip", 2), (gzip.compress(b"0" * 20_000_000), 1)],
    ids=["broken", "over 5 MB"],
)
def test_a_body_that_cannot_be_unpacked_ends_all_candidates(ask, body, tries):
    with Scripted(lambda _: (200, {**JSON, "Content-Encoding": "gzip"}, body)) as server:
        run = ask(server, env={"RETRY_TIMES": "1"}, **HOUR)
        assert polite(server, tries)
    assert (run.status, run.outcomes) == (1, {"failed": 60})
    assert len([line for line in errors(run) if FIRST in line]) == 1
    assert "Traceback" not in run.log


def test_a_feed_that_cannot_be_reached_is_tried_again_and_told_once(ask):
    with Scripted(lambda _: (200, {}, b"")) as server:
        pass  # its port is closed now
    run = ask(server, env={"RETRY_TIMES": "1"}, interval=0.5, **HOUR)
    assert (run.status, run.outcomes) == (1, {"failed": 60})
    (line,) = errors(run)
    assert "connection refused" in line
    assert "after 2 tries" in line
    assert run.stats["miso/requests"] == 2


# --- One answer serves everybody --------------------------------------------------------------


def test_one_answer_serves_all_candidates_and_the_next_run(ask, body, registry, archive):
    with Scripted(lambda _: (200, JSON, body)) as server:
        run = ask(server, env=registry, interval=60, **NOON)
        assert run.outcomes == {"stored": 1}
        fetched = archive.only()["collection_metadata"]["collected_at"]
        run = ask(server, env={**registry, "MISO_REQUIRE_COVERAGE": "0"}, interval=60, **HOUR)
        assert polite(server, 1)
    assert run.outcomes == {"skipped": 1, "duplicate": 59}
    assert (run.stats["miso/requests"], run.stats["miso/shared"]) == (0, 59)
    second = fetched[:19] + "Z"
    assert f"Using the answer of {second}: at most one request in 60 s" in run.log


def test_what_is_served_later_keeps_the_time_of_its_fetch(ask, body, archive, valkey):
    env = {"REDIS_URL": valkey.url}
    with Scripted(lambda _: (200, JSON, body)) as server:
        assert ask(server, env=env, interval=60, **NOON).outcomes == {"stored": 1}
        first = archive.only()["collection_metadata"]
        # Both the file and what is known of it are lost.
        (archive.root / archive.files()[0]).unlink()
        valkey.client.delete(*valkey.client.keys("*:md5:*"), *valkey.client.keys("*120000.json"))
        assert ask(server, env=env, interval=60, **NOON).outcomes == {"stored": 1}
        assert polite(server, 1)
    assert archive.only()["collection_metadata"] == first


def test_an_old_answer_is_not_used(ask, body):
    with Scripted(lambda _: (200, JSON, body)) as server:
        assert ask(server, interval=0.05, **NOON).outcomes == {"stored": 1}
        later = {"start": "2025-12-05T12:05", "end": "2025-12-05T12:05"}
        # The second run starts after the interval, in any case: a start takes longer.
        assert ask(server, interval=0.05, **later).outcomes == {"duplicate": 1}
        assert polite(server, 2, interval=0.05)


def test_force_waits_for_one_fresh_answer_and_files_all_candidates_with_it(ask, body, registry):
    with Scripted(lambda _: (200, JSON, body)) as server:
        assert ask(server, env=registry, interval=4, **NOON).outcomes == {"stored": 1}
        run = ask(server, env=registry, interval=4, force=1, **FEW)
        assert polite(server, 2, interval=4)
    assert run.outcomes == {"stored": 6}
    assert (run.stats["miso/requests"], run.stats["miso/shared"]) == (1, 5)


def test_without_a_registry_the_limit_holds_per_data_directory(ask, body):
    with Scripted(lambda _: (200, JSON, body)) as server:
        run = ask(server, interval=4, skip_hash_check=1, **FEW)
        assert (run.status, run.stats["miso/shared"]) == (0, 5)
        run = ask(server, interval=4, skip_hash_check=1, force=1, **FEW)
        assert (run.status, run.stats["miso/requests"]) == (0, 1)
        # With the embedded registry of that directory.
        run = ask(server, interval=4, **NOON)
        assert polite(server, interval=4)
        assert run.status == 0


@pytest.mark.parametrize("workers", [4])
def test_workers_on_one_redis_share_one_answer_wherever_they_file(
    body, bucket, valkey, tmp_path, environment, workers
):
    env = {**environment, **bucket.settings, "REDIS_URL": valkey.url}
    with Scripted(lambda _: (200, JSON, body)) as server:
        runs = _together(env, tmp_path, server, workers, HOUR)
        assert polite(server, 1)
    assert all(run.status == 0 for run in runs), runs[0].log
    assert sum(run.stats["miso/requests"] for run in runs) == 1
    # Each candidate is one worker's, and skipped by the others; all but one got a shared answer.
    assert (
        sum(run.outcomes.get("stored", 0) + run.outcomes.get("duplicate", 0) for run in runs) == 60
    )
    assert sum(run.stats["miso/shared"] for run in runs) == 59


@pytest.mark.parametrize("part", range(4))
def test_two_workers_that_start_at_the_same_instant_send_one_request(
    part, body, bucket, valkey, tmp_path, environment
):
    env = {**environment, **bucket.settings, "REDIS_URL": valkey.url}
    for number in range(5):
        valkey.client.delete(*valkey.client.keys("*turn:*"), *valkey.client.keys("*answer:*"), "-")
        place = tmp_path / str(number)
        place.mkdir()
        minute = {
            "start": f"2025-12-05T12:{number * 5:02}",
            "end": f"2025-12-05T12:{number * 5:02}",
        }
        with Scripted(lambda _: (200, JSON, body)) as server:
            runs = _together(env, place, server, 2, minute)
            assert polite(server, 1)
        assert all(run.status == 0 for run in runs), runs[0].log


def _together(environment, place, server, workers, arguments):
    """Start so many *workers* at once, each with a data directory of its own; return their Runs."""
    args = [part for item in arguments.items() for part in ("-a", "{}={}".format(*item))]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                started(
                    place,
                    {
                        **environment,
                        "MISO_API_URL": server.url,
                        "MISO_MIN_INTERVAL": "60",
                        "MISO_DATA_DIR": str(place / f"data{number}"),
                    },
                    *args,
                )
            )
            for number in range(workers)
        ]
        return [
            Run(process.returncode, output)
            for process in processes
            for output in [process.communicate(timeout=120)[0]]
        ]


# --- When MISO says stop ----------------------------------------------------------------------


def _in_an_hour():
    return format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize(
    ("status", "headers", "minutes"),
    [
        (429, lambda: {"Retry-After": "3600"}, 60),
        (503, lambda: {"Retry-After": _in_an_hour()}, 60),
        (404, lambda: {"Retry-After": "600"}, 10),
        (403, dict, 15),
    ],
    ids=["429", "503 with a date", "404", "403"],
)
def test_a_feed_that_asks_for_longer_than_five_minutes_ends_this_run_and_the_next(
    ask, registry, status, headers, minutes
):
    with Scripted(lambda _: (status, headers(), b"")) as server:
        runs = [ask(server, env=registry, **HOUR) for _ in range(3)]
        assert polite(server, 1)
    for run in runs:
        assert run.status == 1
        assert run.outcomes == {}
        (line,) = errors(run)
        assert "The run ends here: the feed " in line
        assert "allows no request before " in line
        until = datetime.fromisoformat(line.partition("before ")[2].partition(";")[0])
        left = until - datetime.now(UTC)
        assert timedelta(minutes=minutes - 2) < left <= timedelta(minutes=minutes)
        assert line.endswith("; run the same range again after that")
    assert f"HTTP {status}" in errors(runs[0])[0]


def test_a_good_answer_that_asks_to_wait_is_used_and_the_next_request_is_not_sent(
    ask, body, registry
):
    with Scripted(lambda _: (200, {**JSON, "Retry-After": "3600"}, body)) as server:
        run = ask(server, env=registry, interval=60, **FEW)
        assert (run.status, run.outcomes) == (0, {"stored": 1, "duplicate": 5})
        run = ask(
            server, env=registry, interval=0, start="2025-12-05T11:55", end="2025-12-05T11:55"
        )
        assert (run.status, run.outcomes) == (1, {})
        assert polite(server, 1)


def test_a_wait_of_seconds_is_waited_for(ask, body, registry):
    answers = [(503, {"Retry-After": "3"}, b""), (200, JSON, body)]
    with Scripted(lambda _: answers.pop(0)) as server:
        run = ask(server, env=registry, interval=1.9, **FEW)
        assert polite(server, 2, interval=2.9)
    assert (run.status, run.outcomes) == (0, {"stored": 1, "duplicate": 5})
    assert "HTTP 503. The next request to the feed is in 3 s: its Retry-After" in run.log


def test_a_429_without_the_header_is_tried_again_when_its_turn_comes(ask, body, registry):
    answers = [(429, {}, b""), (200, JSON, body)]
    with Scripted(lambda _: answers.pop(0)) as server:
        run = ask(server, env=registry, interval=3, **FEW)
        assert polite(server, 2, interval=3)
    assert (run.status, run.outcomes) == (0, {"stored": 1, "duplicate": 5})


def test_a_feed_of_ones_own_is_obeyed_too(ask, body):
    with Scripted(lambda _: (429, {"Retry-After": "3600"}, b"")) as server:
        runs = [ask(server, interval=0, **HOUR) for _ in range(2)]
        assert len(server.requests) == 1
    assert [run.status for run in runs] == [1, 1]


# --- Redirections -----------------------------------------------------------------------------


def test_a_redirection_is_followed_and_the_old_link_is_not_asked_again(ask, body, registry):
    def answer(request):
        if request.path == "/new":
            return 200, JSON, body
        return 301, {"Location": "/new"}, b""

    with Scripted(answer) as server:
        run = ask(server, env=registry, interval=60, **FEW)
        assert [request.path for request in server.requests] == ["/api/RealTimeTotalLoad", "/new"]
    assert (run.status, run.outcomes) == (0, {"stored": 1, "duplicate": 5})
    assert (run.stats["miso/requests"], run.stats["miso/shared"]) == (2, 5)


@pytest.mark.parametrize("back", ["/api/RealTimeTotalLoad", "/other"])
def test_redirections_in_a_circle_ask_no_link_twice(ask, back):
    turns = {"/api/RealTimeTotalLoad": back, "/other": "/api/RealTimeTotalLoad"}
    with Scripted(lambda request: (302, {"Location": turns[request.path]}, b"")) as server:
        run = ask(server, **HOUR)
        paths = [request.path for request in server.requests]
    assert len(paths) == len(set(paths))
    assert (run.status, run.outcomes) == (1, {"failed": 60})
    (line,) = errors(run)
    assert "redirections in a circle" in line


@pytest.mark.parametrize("to", ["", "#part"], ids=["itself", "a part of itself"])
def test_a_redirection_to_the_same_link_is_not_followed(ask, to):
    location = f"/api/RealTimeTotalLoad{to}"
    with Scripted(lambda _: (302, {"Location": location}, b"")) as server:
        run = ask(server, **FEW)
        assert polite(server, 1)
    assert (run.status, run.outcomes) == (1, {"failed": 6})


def test_a_failure_behind_a_redirection_is_told_in_one_line(ask):
    def answer(request):
        return (404, {}, b"") if request.path == "/new" else (301, {"Location": "/new"}, b"")

    with Scripted(answer) as server:
        run = ask(server, **HOUR)
        assert len(server.requests) == 2
    (line,) = errors(run)
    assert "failed 60 candidates" in line


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "/new", "Retry-After": "3600"}, b""),
        (429, {"Retry-After": "3600", "Content-Length": "100"}, b"cut off"),
    ],
    ids=["a redirection", "a body that is cut off"],
)
def test_retry_after_of_any_answer_is_kept(ask, answer):
    with Scripted(lambda _: answer) as server:
        server.server.RequestHandlerClass.protocol_version = "HTTP/1.0"  # closes the connection
        runs = [ask(server, interval=0.1, **FEW) for _ in range(2)]
        assert len(server.requests) == 1
    for run in runs:
        assert (run.status, run.outcomes) == (1, {})
        assert "allows no request before " in run.log


# --- Several requests at once, and a slow feed ------------------------------------------------


# One answer serves all candidates for an interval, which must not end before the run does.
@pytest.mark.parametrize(("status", "interval", "requests"), [(200, 60, 1), (503, 1, 3)])
def test_several_requests_at_once_keep_the_interval(ask, body, status, interval, requests):
    env = {"CONCURRENT_REQUESTS": "8", "RETRY_TIMES": "2"}
    with Scripted(lambda _: (status, JSON, body)) as server:
        run = ask(server, interval=interval, env=env, **HOUR)
        assert polite(server, requests, interval)
    assert sum(run.outcomes.values()) == 60


def test_a_feed_that_is_slower_than_the_interval_is_asked_once_for_all(ask, feed):
    feed.set(clock=CLOCK, faults=["delay=3"])
    run = ask(feed, interval=2, **FEW)
    assert run.outcomes == {"stored": 1, "duplicate": 5}
    assert len(feed.requests) == 1


def test_a_turn_is_used_when_the_registry_takes_more_than_a_second_to_give_it(ask, body, valkey):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Scripted(lambda _: (200, JSON, body)))
        proxy = Proxy(valkey.port)
        stack.callback(proxy.stop)
        proxy.delay = 0.3  # for each of the questions that a turn takes
        proxy.turn("slow")
        run = ask(server, env={"REDIS_URL": f"redis://{proxy.address}"}, interval=60, **NOON)
        assert polite(server, 1)
    assert (run.status, run.outcomes) == (0, {"stored": 1})


@pytest.mark.parametrize(("seconds", "waits"), [("299", True), ("301", False)])
def test_a_run_waits_for_five_minutes_and_no_longer(body, environment, tmp_path, seconds, waits):
    args = [part for item in NOON.items() for part in ("-a", "=".join(item))]
    with Scripted(lambda _: (503, {"Retry-After": seconds}, b"")) as server:
        env = {**environment, "MISO_API_URL": server.url, "MISO_MIN_INTERVAL": "1"}
        with started(tmp_path, env, *args) as process:
            read_until(
                process,
                "The next request to the feed is in 299 s" if waits else "The run ends here",
            )
            process.terminate()
            process.communicate(timeout=60)
        assert len(server.requests) == 1
    assert process.returncode == 1


# --- Restarts, and commands that only look ----------------------------------------------------


def test_a_run_that_was_killed_with_a_request_in_flight_has_had_its_turn(
    ask, body, registry, environment, tmp_path
):
    asked, go_on = threading.Event(), threading.Event()

    def answer(request):
        asked.set()
        go_on.wait(60)
        return 200, JSON, body

    args = [part for item in NOON.items() for part in ("-a", "=".join(item))]
    interval = 4  # longer than a run takes to be killed and to start
    with Scripted(answer) as server:
        env = {**environment, **registry, "MISO_API_URL": server.url}
        env |= {"MISO_MIN_INTERVAL": str(interval), "REGISTRY_CLAIM_TTL": "1"}
        with started(tmp_path, env, *args) as process:
            wait_for(asked, process)
            process.send_signal(signal.SIGKILL)
            process.wait()
        go_on.set()
        run = ask(server, env={**registry, "REGISTRY_CLAIM_TTL": "1"}, interval=interval, **NOON)
        assert polite(server, 2, interval)
    assert run.outcomes == {"stored": 1}


def test_check_judges_the_answer_that_is_there_and_says_so(ask, feed, registry):
    feed.set()
    runs = [ask(feed, env=registry, interval=60, command="check") for _ in range(3)]
    assert len(feed.requests) == 1
    for run in runs:
        assert run.status == 0, run.log
        assert "Traceback" not in run.log
    assert "Using the answer of " not in runs[0].log
    for run in runs[1:]:
        assert "Using the answer of " in run.log


def test_check_says_that_it_waits_for_its_turn(ask, body, feed):
    feed.set()
    good = live_body(feed)
    answers = [(500, {}, b""), (200, JSON, good)]
    with Scripted(lambda _: answers.pop(0)) as server:
        ask(server, env={"RETRY_TIMES": "0"}, interval=8, **NOON)
        run = ask(server, interval=8, command="check")
        assert polite(server, 2, interval=8)
    assert run.status == 0, run.log
    assert "The next request to the feed is in " in run.log


def test_doctor_judges_the_answer_that_is_there_and_says_so(ask, feed, registry):
    feed.set()
    runs = [ask(feed, env=registry, interval=60, command="doctor") for _ in range(2)]
    assert len(feed.requests) == 1
    assert [run.status for run in runs] == [0, 0], runs[1].log
    assert "the answer of " not in runs[0].log
    assert "the answer of " in runs[1].log
    crawl = ask(feed, env=registry, interval=60)
    assert crawl.stats["miso/requests"] == 0


def test_doctor_waits_for_its_turn_and_obeys_retry_after(ask, registry):
    with Scripted(lambda _: (503, {"Retry-After": "3600"}, b"")) as server:
        runs = [ask(server, env=registry, command="doctor") for _ in range(2)]
        runs.append(ask(server, env=registry, **HOUR))
        assert polite(server, 1)
    assert [run.status for run in runs] == [1, 1, 1]
    for run in runs:
        assert "allows no request before " in run.log


# --- The setting ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://public-api.misoenergy.org/api/RealTimeTotalLoad",
        "https://MISOenergy.org./x",
        "http://a.b.misoenergy.org:8080/",
    ],
)
def test_less_than_a_minute_is_refused_for_miso(scrapy, url):
    done = scrapy("crawl", "miso_rtload", "-s", "MISO_MIN_INTERVAL=59.9", env={"MISO_API_URL": url})
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("scrapy crawl: MISO_MIN_INTERVAL='59.9' must be at least 60 for ")


def test_a_host_that_only_ends_like_miso_is_not_miso(scrapy):
    env = {"MISO_API_URL": "http://notmisoenergy.org/", "http_proxy": "http://127.0.0.1:9"}
    done = scrapy(
        "crawl", "miso_rtload", "-s", "MISO_MIN_INTERVAL=0", env={**env, "RETRY_TIMES": "0"}
    )
    assert done.returncode == 1
    assert "must be at least" not in done.stderr


@pytest.mark.parametrize("given", [None, "1.5"])
def test_the_simulator_needs_no_limit_unless_one_is_given(scrapy, environment, given):
    environment.pop("MISO_MIN_INTERVAL")
    show = "import os; print(os.environ['MISO_MIN_INTERVAL'])"
    env = {"MISO_MIN_INTERVAL": given} if given else {}
    done = scrapy("simulate", "--", "python", "-c", show, env=env)
    assert done.stdout.split() == [given or "0"], done.stderr
