"""Any interleaving of those who share a turn: never two requests within the interval."""

import asyncio
import itertools
import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from miso_scrapy.feed.turns import (
    MAX_SHARED,
    Answer,
    FeedState,
    Now,
    Shared,
    Turn,
    Wait,
    ask,
    finish,
    hold_off,
    margin,
    retry_after,
    slack,
)
from miso_scrapy.registry.client import Registry
from miso_scrapy.registry.feed_turns import DirectoryTurns, RedisTurns

INTERVAL = 60.0
WORKERS = range(3)
LONGEST = INTERVAL + slack(INTERVAL) + margin(INTERVAL)
SECONDS = st.floats(0, 100, allow_nan=False)


class Interleavings(RuleBasedStateMachine):
    """Workers that ask, send, get answers or failures, and die; real time; a clock that is set back."""

    def __init__(self):
        super().__init__()
        self.time = 1e6  # which no clock shows
        self.offset = 0.0
        self.state = FeedState()
        self.turns = {}
        self.sent = []
        self.fetched = {}
        self.held_off = -math.inf

    @property
    def now(self):
        return Now(self.time + self.offset, self.time + self.offset)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds):
        self.time += seconds

    @rule(seconds=st.floats(0, 1e5))
    def the_clock_is_set_back(self, seconds):
        self.offset -= seconds

    @rule(worker=st.sampled_from(WORKERS), fresh=st.booleans())
    def a_worker_asks(self, worker, fresh):
        since = self.now.steady if fresh else 0
        self.state, step = ask(self.state, self.now, INTERVAL, since)
        match step:
            case Turn():
                self.turns[worker] = (step, self.time)
            case Shared():
                assert not fresh or self.fetched[step.answer.url] == self.time
                assert self.time - self.fetched[step.answer.url] <= LONGEST
                assert 0 < step.seconds <= LONGEST
            case Wait():
                assert step.seconds > 0
                assert step.held_off_until or step.seconds <= LONGEST

    @precondition(lambda self: self.turns)
    @rule(late=st.floats(0, 2 * slack(INTERVAL)), data=st.data())
    def a_worker_with_a_turn_sends_its_request(self, late, data):
        worker = data.draw(st.sampled_from(sorted(self.turns)))
        turn, taken = self.turns.pop(worker)
        self.time += late
        if self.time - taken > slack(INTERVAL):
            # It stood still with its turn, or was killed. It does not send, but it may ask again.
            if data.draw(st.booleans(), "it asks again"):
                self.state, step = ask(self.state, self.now, INTERVAL, late=turn)
                if isinstance(step, Turn):
                    self.turns[worker] = (step, self.time)
            return
        assert self.time >= self.held_off - 1e-6
        self.sent.append(self.time)
        answer = Answer(b"", str(len(self.sent)), datetime.now(UTC))
        self.time += data.draw(st.floats(0, 100), "seconds that it takes")
        match data.draw(st.sampled_from(["answered", "failed", "killed"]), "it is"):
            case "answered":
                self.state = finish(self.state, self.now, turn, answer)
                self.fetched[answer.url] = self.time
            case "failed":
                self.state = finish(self.state, self.now, turn)

    @rule(seconds=st.floats(1, 1000))
    def the_feed_asks_to_wait(self, seconds):
        self.state = hold_off(self.state, self.now, seconds)
        self.held_off = max(self.held_off, self.time + seconds)
        self.turns.clear()

    @invariant()
    def no_two_requests_within_the_interval(self):
        gaps = [later - earlier for earlier, later in itertools.pairwise(self.sent)]
        assert all(gap >= INTERVAL - 1e-6 for gap in gaps), gaps


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=100, stateful_step_count=30)


def test_a_turn_that_came_too_late_is_given_again_unless_another_was_taken():
    state, turn = ask(FeedState(), Now(0, 0), 60)
    later, again = ask(state, Now(3, 3), 60, late=turn)
    assert again == Turn(33)
    assert ask(later, Now(4, 4), 60)[1] == Wait(90)  # for everybody else
    assert ask(hold_off(state, Now(3, 3), 9), Now(3, 3), 60, late=turn)[1] == Wait(88)
    taken, _ = ask(state, Now(100, 100), 60)
    assert ask(taken, Now(101, 101), 60, late=turn)[1] == Wait(90)


def test_an_answer_of_before_is_not_used_by_who_wants_a_fresh_one():
    state, turn = ask(FeedState(), Now(0, 0), 60)
    state = finish(state, Now(0, 0), turn, Answer(b"{}", "", datetime.now(UTC)))
    assert isinstance(ask(state, Now(10, 10), 60)[1], Shared)
    assert ask(state, Now(10, 10), 60, since=10)[1] == Wait(51)
    assert isinstance(ask(state, Now(61, 61), 60, since=10)[1], Turn)


def test_the_interval_begins_anew_when_the_request_has_ended():
    state, turn = ask(FeedState(), Now(0, 0), 60)
    state = finish(state, Now(30, 30), turn)  # it timed out; when it left is not known
    assert ask(state, Now(80, 80), 60)[1] == Wait(11)
    assert isinstance(ask(state, Now(91, 91), 60)[1], Turn)


def test_a_turn_whose_request_may_still_be_sent_is_waited_for_longer():
    state, _ = ask(FeedState(), Now(0, 0), 60)  # its worker was killed, or is slow
    assert ask(state, Now(61, 61), 60)[1] == Wait(30)
    assert isinstance(ask(state, Now(91, 91), 60)[1], Turn)


def test_an_answer_to_an_earlier_turn_is_not_shared_as_that_of_the_last():
    state, first = ask(FeedState(), Now(0, 0), 60)
    state, _ = ask(state, Now(91, 91), 60)
    assert finish(state, Now(92, 92), first, Answer(b"{}", "", datetime.now(UTC))).answer is None


@pytest.mark.parametrize(("size", "shared"), [(MAX_SHARED, True), (MAX_SHARED + 1, False)])
def test_an_answer_over_5_mb_is_not_shared(size, shared):
    state, turn = ask(FeedState(), Now(0, 0), 60)
    kept = finish(state, Now(1, 1), turn, Answer(b"0" * size, "", datetime.now(UTC))).answer
    assert (kept is not None) == shared


def test_without_an_interval_everybody_may_ask_unless_the_feed_asks_to_wait():
    state, _ = ask(FeedState(), Now(0, 0), 0)
    state, step = ask(state, Now(0, 0), 0)
    assert isinstance(step, Turn)
    _, step = ask(hold_off(state, Now(0, 0), 9), Now(1, 1), 0)
    assert step == Wait(8, datetime.fromtimestamp(9, UTC))


@given(st.binary(max_size=100), st.text(max_size=20), st.datetimes(timezones=st.just(UTC)))
def test_an_answer_survives_its_way_through_the_registry(body, url, fetched_at):
    answer = Answer(body, url, fetched_at)
    assert Answer.from_json(answer.to_json()) == answer


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DATE = format_datetime(NOW, usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("9" * 400, 1e9),
    ],
)
def test_what_retry_after_asks_for_is_read_by_the_server_s_clock(value, seconds):
    assert retry_after(value, DATE) == seconds


def test_without_a_date_of_the_server_it_is_this_machine_s_clock():
    value = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3590 < retry_after(value, "") <= 3600


def test_of_many_who_ask_a_directory_at_once_one_gets_the_turn(tmp_path):
    def one(_):
        turns = DirectoryTurns(tmp_path / "feed", "http://feed/", 60)
        return asyncio.run(turns.ask())

    with ThreadPoolExecutor(8) as pool:
        steps = list(pool.map(one, range(32)))
    assert sum(isinstance(step, Turn) for step in steps) == 1
    assert sum(isinstance(step, Wait) for step in steps) == 31


def test_each_link_has_turns_of_its_own(tmp_path):
    def step(url):
        return asyncio.run(DirectoryTurns(tmp_path, url, 60).ask())

    assert isinstance(step("http://feed/a"), Turn)
    assert isinstance(step("http://feed/b"), Turn)
    assert isinstance(step("http://feed/a"), Wait)


def test_a_turn_of_another_machine_or_boot_counts_from_now(tmp_path):
    turns = DirectoryTurns(tmp_path, "http://feed/a", 60)
    assert isinstance(asyncio.run(turns.ask()), Turn)
    (path,) = tmp_path.glob("*.json")
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "clock": "another", "turn": kept["turn"] - 1e6}))
    step = asyncio.run(turns.ask())
    assert isinstance(step, Wait)
    assert 89 < step.seconds <= 91


@pytest.mark.parametrize("text", ["", "null", "{}", '{"clock": 1}'])
def test_a_damaged_state_counts_as_a_turn_of_now(tmp_path, text):
    turns = DirectoryTurns(tmp_path, "http://feed/a", 60)
    asyncio.run(turns.ask())
    (path,) = tmp_path.glob("*.json")
    path.write_text(text)
    assert isinstance(asyncio.run(turns.ask()), Wait)


def test_of_many_who_ask_redis_at_once_one_gets_the_turn(valkey):
    async def ask_all():
        registries = [Registry.connect(valkey.url, "dev:test:", 1000, 1000) for _ in range(8)]
        try:
            for number in range(20):
                url = f"http://feed/{number}"
                turns = [RedisTurns(registry, url, 60) for registry in registries]
                steps = await asyncio.gather(*[each.ask() for each in turns])
                assert sum(isinstance(step, Turn) for step in steps) == 1
        finally:
            for registry in registries:
                await registry.close()

    asyncio.run(ask_all())


def test_redis_forgets_answer_and_hold_off_when_their_time_is_over(valkey):
    async def use():
        registry = Registry.connect(valkey.url, "dev:test:", 1000, 1000)
        turns = RedisTurns(registry, "http://feed/", 60)
        turn = await turns.ask()
        await turns.finish(turn, Answer(b"{}", "", datetime.now(UTC)))
        await turns.hold_off(500)
        await registry.close()

    asyncio.run(use())
    left = {key.split(":")[2]: valkey.client.ttl(key) for key in valkey.client.scan_iter()}
    assert set(left) == {"turn", "answer", "not-before"}
    assert 85 < left["answer"] <= 90
    assert 495 < left["not-before"] <= 500
    assert left["turn"] > 3600
