"""Any interleaving of workers' steps, crashes and lease expiries keeps promises 1 to 3.

Real Valkey, the real registry client and the real directory store; the state machine decides who
moves next, who dies, and whose lease runs out.
"""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from miso_scrapy.registry.client import Claim, Registry, Step
from miso_scrapy.store.directory import DirectoryStore

PREFIX = "dev:test:"
CANDIDATES = ("A", "B", "C")
LATER = ("D", "E", "F")
CONTENTS = ("1", "2", "3")
WORKERS = range(3)


class Worker:
    """A worker as the pipelines are: claim, hold, put, commit; settle when told of the dead.

    Each step is one call on the registry or the store, so that anything may happen in between. While
    *silent* is set, the store takes files and tells nothing.
    """

    silent = False

    def __init__(self, registry, store):
        self.registry, self.store = registry, store
        self.steps = None

    def begin(self, candidate, content):
        self.steps = self.work(candidate, content)

    async def give_up(self):
        """End as an item does that is dropped, or ends in an error."""
        self.steps = None
        await self.registry.leave(*(Claim(name, self.token) for name in self.names))

    async def work(self, candidate, content):
        insist = False
        while True:
            self.names, self.token = {candidate}, ""
            step, self.token = await self.registry.claim(candidate, insist=insist)
            insist = False
            yield
            if step == Step.REGISTERED:
                return
            if step == Step.ABANDONED:
                async for _ in self.settle():
                    yield
                insist = True
            if step != Step.CLAIMED:
                continue
            while True:
                step, home = await self.registry.hold(candidate, self.token, content)
                self.names = {candidate, home}
                yield
                if step == Step.DUPLICATE:
                    return
                if step in (Step.LOST, Step.STORE):
                    break
            if step == Step.LOST:
                continue
            created = self.store.put(home, content.encode(), {}).created
            yield
            if not created and Worker.silent:
                await self.give_up()  # failed: what is there cannot be read
                return
            there = self.store.get(home).decode()
            if home != candidate and there != content:
                await self.give_up()  # failed: taken by other content
                return
            await self.registry.commit(home, there, candidate=candidate)
            return

    async def settle(self):
        async for claim in self.registry.take_expired():
            yield
            body = self.store.get(claim.identifier)
            yield
            if Worker.silent:
                await self.registry.leave(claim)
            elif body is None:
                await self.registry.release(claim)
            else:
                await self.registry.commit(claim.identifier, body.decode())


class Interleavings(RuleBasedStateMachine):
    valkey = None

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.valkey.client.flushall()
        self.root = Path(tempfile.mkdtemp())
        self.store = DirectoryStore(self.root)
        self.workers = [self.newcomer() for _ in WORKERS]
        # Two candidates in flight in one run.
        self.workers[0].registry = self.workers[1].registry
        self.first = {}
        Worker.silent = False

    def newcomer(self):
        registry = Registry.connect(self.valkey.url, PREFIX, ttl=1000, lease=1000)
        return Worker(registry, self.store)

    @rule(worker=st.sampled_from(WORKERS), candidate=st.sampled_from(CANDIDATES),
          content=st.sampled_from(CONTENTS))  # fmt: skip
    def begin(self, worker, candidate, content):
        if self.workers[worker].steps is None:
            self.workers[worker].begin(candidate, content)
            self.move(worker)

    @rule(worker=st.sampled_from(WORKERS), steps=st.integers(1, 4))
    def go_on(self, worker, steps):
        for _ in range(steps):
            self.move(worker)

    def move(self, number):
        worker = self.workers[number]
        if worker.steps is not None:
            try:
                self.loop.run_until_complete(anext(worker.steps))
            except StopAsyncIteration:
                worker.steps = None

    @rule(worker=st.sampled_from(WORKERS))
    def crash(self, worker):
        if self.workers[worker].steps is not None:
            self.workers[worker] = self.newcomer()

    @rule(worker=st.sampled_from(WORKERS))
    def give_up(self, worker):
        if self.workers[worker].steps is not None:
            self.loop.run_until_complete(self.workers[worker].give_up())

    @rule(silent=st.booleans())
    def the_store_tells(self, silent):
        Worker.silent = silent

    @precondition(lambda self: self.valkey.client.hlen(f"{PREFIX}claims"))
    @rule(candidate=st.sampled_from(CANDIDATES))
    def the_lease_runs_out(self, candidate):
        claims = f"{PREFIX}claims"
        if text := self.valkey.client.hget(claims, candidate):
            claim = {**json.loads(text), "deadline": 0}
            self.valkey.client.hset(claims, candidate, json.dumps(claim))

    def files(self):
        names = (*CANDIDATES, *LATER)
        return {key: (self.root / key).read_text() for key in names if self.store.get(key)}

    @invariant()
    def promise_1_stored_means_safe(self):
        files, names = self.files(), [f"md5:{content}" for content in CONTENTS]
        names += [*CANDIDATES, *LATER]
        found = self.valkey.client.mget([PREFIX + name for name in names])
        homes = dict(zip(CONTENTS, found, strict=False))
        for content, home in homes.items():
            assert home is None or files.get(home) == content
        for content in found[len(homes) :]:
            assert content is None or homes[content] in files

    @invariant()
    def promise_2_stored_once(self):
        contents = list(self.files().values())
        assert len(contents) == len(set(contents))

    @invariant()
    def promise_3_never_overwritten(self):
        for candidate, content in self.files().items():
            assert self.first.setdefault(candidate, content) == content

    def teardown(self):
        # Whatever has happened: once everybody is dead, one newcomer mends it all.
        Worker.silent = False
        redis = self.valkey.client
        for candidate in CANDIDATES:
            self.the_lease_runs_out(candidate) if redis.hlen(f"{PREFIX}claims") else None
        last = self.newcomer()

        async def to_its_end(steps):
            async for _ in steps:
                pass

        self.loop.run_until_complete(to_its_end(last.settle()))
        assert not redis.hlen(f"{PREFIX}claims")
        self.promise_1_stored_means_safe()
        # And nothing is in the way of any candidate, or of any content.
        for candidate, content in zip((*CANDIDATES, *LATER), CONTENTS * 2, strict=True):
            self.loop.run_until_complete(to_its_end(last.work(candidate, content)))
            assert redis.get(f"{PREFIX}{candidate}"), (candidate, content)
        self.promise_1_stored_means_safe()
        self.promise_2_stored_once()
        self.loop.close()
        shutil.rmtree(self.root)


@pytest.mark.parametrize("part", range(4))
def test_any_interleaving_keeps_the_promises(part, valkey):
    machine = type(f"Part{part}", (Interleavings,), {"valkey": valkey})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
