"""`scrapy simulate`, as a user runs it, and the feed that it serves, as any HTTP client sees it."""

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.support.project import FOREIGN, SCRAPY

NOON = "2025-12-05T12:02:00-05:00"
# A command for `scrapy simulate -- COMMAND`: fetches the feed so many times, prints the bodies.
FETCH = (
    "import os, sys, urllib.request as r\n"
    "for _ in range(int(sys.argv[1])): print(r.urlopen(os.environ['MISO_API_URL']).read().decode())"
)


@contextlib.contextmanager
def serving(directory, *args):
    """Run `scrapy simulate ARGS...` on a free port; yield the process, with `.line` and `.url`."""
    environment = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    # A shell's background job ignores SIGINT, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [SCRAPY, "simulate", *args],
            cwd=directory,
            env={**environment, "SCRAPY_SETTINGS_MODULE": "miso_scrapy.settings"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        process.line = process.stdout.readline()
        process.url = next((word for word in process.line.split() if "http" in word), "")
        process.url = process.url[process.url.find("http") :]
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        process.stdout.close()
        process.stderr.close()


@pytest.fixture(scope="module")
def _simulator(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("simulator"), "--port", "0") as process:
        yield process


@pytest.fixture
def simulator(_simulator):
    """A `scrapy simulate` that runs: its clock stands still at noon EST, without faults."""

    def get(timeout=30):
        """GET the feed: `.status`, `.headers`, `.body` (text)."""
        parts = urlsplit(_simulator.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("GET", parts.path)
            response = connection.getresponse()
            body = response.read().decode()
        return SimpleNamespace(status=response.status, headers=response.headers, body=body)

    def put(**wanted):
        """PUT to the simulator's control; return its JSON answer."""
        return _control(_simulator.url, json.dumps(wanted).encode())

    put(clock=NOON, advance=0, faults=[])
    return SimpleNamespace(
        url=_simulator.url,
        get=get,
        put=put,
        snapshot=lambda: json.loads(get().body),
        show=lambda: _control(_simulator.url),
    )


def _control(url, body=None):
    request = Request(
        url.replace("/api/RealTimeTotalLoad", "/simulator"), body, method="PUT" if body else "GET"
    )
    with urlopen(request, timeout=30) as response:
        return json.load(response)


def _one_line(done, *words):
    """Assert that the process has said one line about what is wrong, with *words*, exit status 2."""
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == 2, said
    assert len(said.splitlines()) == 1, said
    for word in words:
        assert word in said


# --- The command ------------------------------------------------------------------------------


def test_it_prints_its_url_and_serves_until_ctrl_c(tmp_path):
    with serving(tmp_path, "--port", "0") as process:
        assert f"MISO_API_URL={process.url}" in process.line
        with urlopen(process.url, timeout=30) as response:
            assert "LoadInfo" in json.load(response)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert rest + errors == ""


def test_it_serves_on_the_port_that_is_asked_for(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serving(tmp_path, "--port", str(port)) as process:
        assert urlsplit(process.url).port == port, process.line
        with urlopen(process.url, timeout=30) as response:
            assert response.status == 200


def test_a_port_in_use_is_told_in_one_line(scrapy):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        _one_line(scrapy("simulate", "--port", port), port, "in use")


def test_it_binds_to_localhost_only(simulator):
    port = urlsplit(simulator.url).port
    others = {address[4][0] for address in _addresses()} - {"127.0.0.1", "::1"}
    for address in sorted({"127.0.0.2", *others}):
        with pytest.raises(OSError, match=r"."):
            socket.create_connection((address, port), 5).close()


def _addresses():
    with contextlib.suppress(OSError):
        return socket.getaddrinfo(socket.gethostname(), 80, type=socket.SOCK_STREAM)
    return []


def test_a_command_is_run_with_the_url_and_its_status_is_passed_on(scrapy):
    program = "import os, sys; print(os.environ['MISO_API_URL'], sys.argv[1:]); sys.exit(7)"
    done = scrapy("simulate", "--", sys.executable, "-c", program, "--seed", "-h")
    assert done.returncode == 7, done.stderr
    url, arguments = done.stdout.strip().split(" ", 1)
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/api/RealTimeTotalLoad")
    assert arguments == "['--seed', '-h']"
    assert done.stderr == ""


def test_a_command_that_succeeds_is_served_while_it_runs_and_no_longer(scrapy):
    done = scrapy(
        "simulate", "--", sys.executable, "-c", FETCH + "\nprint(os.environ['MISO_API_URL'])", "1"
    )
    assert done.returncode == 0, done.stderr
    body, url = done.stdout.splitlines()
    assert "LoadInfo" in json.loads(body)
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=30)


def test_a_command_that_does_not_exist_is_told_in_one_line(scrapy):
    _one_line(scrapy("simulate", "--", "no-such-command"), "no-such-command")


def test_ctrl_c_lets_the_command_finish(tmp_path):
    program = (
        "import sys, threading\n"
        "try:\n"
        "    print('http-ready', flush=True)\n"
        "    threading.Event().wait()\n"
        "except KeyboardInterrupt: sys.exit(5)"
    )
    with serving(tmp_path, "--", sys.executable, "-c", program) as process:
        assert process.line == "http-ready\n"
        os.killpg(process.pid, signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == 5
    assert rest + errors == ""


def test_clock_advance_and_fault_are_options(scrapy):
    arguments = ("--clock", "2025-12-05T17:02", "--advance", "5", "--fault", "documented*1")
    done = scrapy("simulate", *arguments, "--", sys.executable, "-c", FETCH, "3")
    assert done.returncode == 0, done.stderr
    documented, *live = (json.loads(line) for line in done.stdout.splitlines())
    # A clock without an offset is UTC, as everywhere.
    assert documented["RefId"] == "2025-12-05T17:00:00Z"
    assert [answer["LoadInfo"]["RefId"] for answer in live] == [
        "05-Dec-2025 - Interval 12:05 EST",
        "05-Dec-2025 - Interval 12:10 EST",
    ]


def test_a_seed_is_another_load_and_always_the_same_one(scrapy):
    def served(seed):
        arguments = ("--seed", seed, "--clock", NOON, "--", sys.executable, "-c", FETCH, "1")
        done = scrapy("simulate", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["LoadInfo"]

    first, again, other = served("1"), served("1"), served("2")
    assert first == again
    assert first["RefId"] == other["RefId"]
    assert first["FiveMinTotalLoad"] != other["FiveMinTotalLoad"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--fault", "flood"], "flood"),
        (["--fault", "status=often"], "status=often"),
        (["--fault", "reset*many"], "reset*many"),
        (["--clock", "yesterday"], "yesterday"),
        (["--port", "99999"], "99999"),
        (["--advance", "inf"], "inf"),
    ],
)
def test_wrong_usage_is_told_in_one_line(scrapy, arguments, named):
    _one_line(scrapy("simulate", *arguments, "--", sys.executable, "-c", ""), named)


# --- The feed ---------------------------------------------------------------------------------


def test_the_live_shape_is_the_default(simulator):
    answer = simulator.get()
    assert answer.status == 200
    assert answer.headers.get_content_type() == "application/json"
    document = json.loads(answer.body)
    assert list(document) == ["LoadInfo"]
    info = document["LoadInfo"]
    assert info["RefId"] == "05-Dec-2025 - Interval 12:00 EST"
    rows = [
        *[(row, "ClearedMWHourly", {"Hour", "Value"}) for row in info["ClearedMW"]],
        *[(row, "Forecast", {"HourEnding", "LoadForecast"}) for row in info["MediumTermLoadForecast"]],
        *[(row, "Load", {"Time", "Value"}) for row in info["FiveMinTotalLoad"]],
    ]  # fmt: skip
    for row, wrapper, fields in rows:
        assert list(row) == [wrapper]
        assert set(row[wrapper]) == fields
        assert all(isinstance(value, str) for value in row[wrapper].values())


@pytest.mark.parametrize(
    ("clock", "ref_id", "last"),
    [
        ("2025-12-05T00:00:00-05:00", "05-Dec-2025 - Interval 00:00 EST", "00:00"),
        ("2025-12-05T04:59:59+00:00", "04-Dec-2025 - Interval 23:55 EST", "23:55"),
        ("2024-02-29T08:14:00-05:00", "29-Feb-2024 - Interval 08:10 EST", "08:10"),
        # No daylight saving: at 02:30 EDT, which does not exist in Chicago, it is 02:30 EST.
        ("2026-03-08T07:30:00+00:00", "08-Mar-2026 - Interval 02:30 EST", "02:30"),
        ("2026-07-27T13:10:00+00:00", "27-Jul-2026 - Interval 08:10 EST", "08:10"),
        ("2026-11-01T06:30:00+00:00", "01-Nov-2026 - Interval 01:30 EST", "01:30"),
    ],
)
def test_any_day_has_a_plausible_load_from_midnight_est_to_the_interval(
    simulator, clock, ref_id, last
):
    simulator.put(clock=clock)
    info = simulator.snapshot()["LoadInfo"]
    assert info["RefId"] == ref_id
    times = [row["Load"]["Time"] for row in info["FiveMinTotalLoad"]]
    hours, minutes = map(int, last.split(":"))
    assert times == [f"{n // 12:02}:{n % 12 * 5:02}" for n in range(hours * 12 + minutes // 5 + 1)]
    hourly = [row["Forecast"] for row in info["MediumTermLoadForecast"]]
    assert [row["HourEnding"] for row in hourly] == [str(hour) for hour in range(1, 25)]
    loads = [row["Load"]["Value"] for row in info["FiveMinTotalLoad"]]
    loads += [row["ClearedMWHourly"]["Value"] for row in info["ClearedMW"]]
    loads += [row["LoadForecast"] for row in hourly]
    assert all(60_000 <= float(load) <= 125_000 for load in loads)


def test_the_load_is_no_constant_and_does_not_jump(simulator):
    simulator.put(clock="2025-12-05T23:58:00-05:00")
    rows = simulator.snapshot()["LoadInfo"]["FiveMinTotalLoad"]
    loads = [float(row["Load"]["Value"]) for row in rows]
    assert max(loads) - min(loads) > 2000
    assert max(abs(after - before) for before, after in itertools.pairwise(loads)) < 3000


def test_a_time_that_was_published_keeps_its_value(simulator):
    early = simulator.snapshot()["LoadInfo"]["FiveMinTotalLoad"]
    simulator.put(clock="2025-12-05T15:00:00-05:00")
    late = simulator.snapshot()["LoadInfo"]["FiveMinTotalLoad"]
    assert late[: len(early)] == early


# --- Faults -----------------------------------------------------------------------------------


def test_fault_status_is_that_status(simulator):
    simulator.put(faults=["status=503"])
    assert [simulator.get().status for _ in range(3)] == [503, 503, 503]


def test_fault_status_may_carry_a_header(simulator):
    simulator.put(faults=["status=429,retry-after:2"])
    answer = simulator.get()
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "2"


def test_fault_delay_keeps_the_client_waiting(simulator):
    simulator.put(faults=["delay=600*1"])
    with pytest.raises(TimeoutError):
        simulator.get(timeout=0.2)
    assert simulator.get().status == 200


def test_fault_delay_answers_in_the_end(simulator):
    expected = simulator.get().body
    simulator.put(faults=["delay=0.05"])
    assert simulator.get().body == expected


def test_fault_reset_resets_the_connection(simulator):
    simulator.put(faults=["reset"])
    with pytest.raises(ConnectionResetError):
        simulator.get()


def test_fault_cut_breaks_off_in_the_body(simulator):
    simulator.put(faults=["cut"])
    with pytest.raises(http.client.IncompleteRead) as raised:
        simulator.get()
    assert raised.value.partial.startswith(b'{"LoadInfo"')


def test_fault_error_is_a_200_with_an_error(simulator):
    simulator.put(faults=["error"])
    answer = simulator.get()
    assert answer.status == 200
    assert json.loads(answer.body) == {"error": "no data"}


def test_fault_html_is_a_200_with_a_page(simulator):
    simulator.put(faults=["html"])
    answer = simulator.get()
    assert answer.status == 200
    assert answer.headers.get_content_type() == "text/html"
    assert "<html" in answer.body.lower()


def test_fault_empty_is_a_200_with_nothing(simulator):
    simulator.put(faults=["empty"])
    answer = simulator.get()
    assert (answer.status, answer.body) == (200, "")


@pytest.mark.parametrize("body", ["[]", '{"a": "b=c*d"}', "not json", "\n"])
def test_fault_body_is_that_text(simulator, body):
    simulator.put(faults=[f"body={body}"])
    answer = simulator.get()
    assert (answer.status, answer.body) == (200, body)


def test_fault_stale_is_an_earlier_snapshot(simulator):
    simulator.put(faults=["stale=180"])
    assert simulator.snapshot()["LoadInfo"]["RefId"] == "05-Dec-2025 - Interval 09:00 EST"


def test_fault_documented_is_the_same_snapshot_in_the_documented_shape(simulator):
    live = simulator.snapshot()["LoadInfo"]
    simulator.put(faults=["documented"])
    documented = simulator.snapshot()
    assert documented["RefId"] == "2025-12-05T17:00:00Z"
    assert [row["Value"] for row in documented["FiveMinTotalLoad"]] == [
        float(row["Load"]["Value"]) for row in live["FiveMinTotalLoad"]
    ]
    assert {type(row["Value"]) for row in documented["ClearedMW"]} <= {int, float}
    assert {type(row["LoadForecast"]) for row in documented["MediumTermLoadForecast"]} <= {
        int,
        float,
    }


def test_faults_happen_in_their_order_so_many_times_and_then_no_more(simulator):
    simulator.put(faults=["status=503*2", "status=500*1"])
    assert [simulator.get().status for _ in range(5)] == [503, 503, 500, 200, 200]


# --- The control ------------------------------------------------------------------------------


def test_the_control_shows_the_clock_and_counts_the_requests(simulator):
    before = simulator.show()
    assert before["clock"] == "2025-12-05T17:02:00Z"
    simulator.get()
    assert simulator.show()["requests"] == before["requests"] + 1


def test_the_control_sets_the_clock_at_once(simulator):
    answer = simulator.put(clock="2024-02-29T00:00:00Z")
    assert answer["clock"] == "2024-02-29T00:00:00Z"
    assert simulator.snapshot()["LoadInfo"]["RefId"] == "28-Feb-2024 - Interval 19:00 EST"


def test_the_clock_advances_per_snapshot_served_but_not_for_an_error(simulator):
    simulator.put(advance=10, faults=["status=503*1"])
    assert simulator.get().status == 503
    seen = [simulator.snapshot()["LoadInfo"]["RefId"][-9:] for _ in range(3)]
    assert seen == ["12:00 EST", "12:10 EST", "12:20 EST"]


def test_the_control_clears_faults(simulator):
    simulator.put(faults=["reset"])
    simulator.put(faults=[])
    assert simulator.get().status == 200


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"faults": ["flood"]}, "flood"),
        ({"faults": ["status=often"]}, "status=often"),
        ({"clock": "yesterday"}, "yesterday"),
        ({"advance": "slowly"}, ""),
    ],
)
def test_the_control_refuses_nonsense_in_one_line_and_stays_as_it_was(simulator, wanted, named):
    before = simulator.show()
    with pytest.raises(HTTPError) as raised:
        simulator.put(**wanted)
    said = raised.value.read().decode()
    assert raised.value.code == 400
    assert len(said.splitlines()) == 1
    assert named in said
    assert simulator.show() == before


def test_an_archive_is_written_once_and_never_over_another(scrapy, archive):
    write = (
        "simulate",
        "--write",
        str(archive.root),
        "--start",
        "2025-12-05",
        "--end",
        "2025-12-06",
    )
    assert scrapy(*write).returncode == 0
    files = archive.files()
    assert len(files) == 288
    assert archive.document(files[0])["data"]["RefId"] == "2025-12-05T05:00:00Z"
    (archive.root / files[5]).write_bytes(b"real")

    again = scrapy(*write)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.endswith("File exists\n")
    assert again.stderr.count("\n") == 1
    assert (archive.root / files[5]).read_bytes() == b"real"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--write", "x"], "--write needs --start and --end"),
        (["--write", "x", "--start", "2025-12-05", "--end", "2025-12-05"], "must be after"),
        (["--start", "2025-12-05"], "--start and --end belong to --write"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(scrapy, options, complaint):
    done = scrapy("simulate", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
