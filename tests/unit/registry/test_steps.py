"""The steps of the registry that no run comes by every day: on a real Valkey, one at a time."""

import asyncio

import pytest

from miso_scrapy.registry.client import Claim, Registry, Step
from tests.support.archive_reader import PREFIX

NOBODY = ""


@pytest.fixture
def registry(valkey):
    """Make a worker's registry: registry() -> Registry. Its leases end only when a test ends them."""
    return lambda: Registry.connect(valkey.url, PREFIX, ttl=1000, lease=1000)


@pytest.fixture
def claims(valkey):
    return lambda: set(valkey.client.hkeys(f"{PREFIX}claims"))


async def storing(registry, candidate, content):
    """Bring *candidate* into STORING with *content*; return the token of its claim."""
    step, token = await registry.claim(candidate)
    assert step == Step.CLAIMED
    assert await registry.hold(candidate, token, content) == (Step.STORE, candidate)
    return token


async def to_settle(registry):
    return [claim.identifier async for claim in registry.take_expired()]


def test_a_worker_that_claims_a_candidate_twice_is_held_by_its_own_first_claim(registry, claims):
    async def scenario():
        worker = registry()
        first = await storing(worker, "A", "1")
        assert await worker.claim("A") == (Step.HELD, NOBODY)
        # The second claim took nothing from the first.
        assert await worker.hold("A", first, "1") == (Step.STORE, "A")
        await worker.commit("A", "1")
        assert await worker.claim("A") == (Step.REGISTERED, NOBODY)
        await worker.leave()

    asyncio.run(scenario())
    assert claims() == set()


def test_a_claim_that_ends_while_the_same_worker_claims_again_breaks_nothing(registry, claims):
    async def scenario():
        worker = registry()
        for number in range(50):
            candidate, content = f"A{number}", f"1{number}"
            await storing(worker, candidate, content)
            _, (step, token) = await asyncio.gather(
                worker.commit(candidate, content), worker.claim(candidate)
            )
            assert (step, token) in [(Step.REGISTERED, NOBODY), (Step.HELD, NOBODY)]
            # A claim that another has meanwhile is not this worker's to free.
            other = registry()
            step, token = await other.claim(candidate, force=True)
            assert step == Step.CLAIMED
            await worker.leave()
            assert await other.hold(candidate, token, content, force=True) == (
                Step.STORE,
                candidate,
            )
            await other.leave(Claim(candidate, token))

    asyncio.run(scenario())


def test_content_whose_home_was_taken_by_other_content_is_stored_under_its_own_name(
    registry, valkey
):
    async def scenario():
        dead = registry()
        await storing(dead, "A", "1")
        await dead.leave()
        # Another worker finds that nothing is stored, and files other content as A.
        other = registry()
        async for claim in other.take_expired():
            await other.release(claim)
        await storing(other, "A", "2")
        await other.commit("A", "2")
        _, token = await other.claim("B")
        assert await other.hold("B", token, "1") == (Step.STORE, "B")

    asyncio.run(scenario())
    assert valkey.client.get(f"{PREFIX}home:1") == "B"


def test_a_claim_with_content_that_is_given_up_is_left_for_the_next_run_to_settle(registry, claims):
    async def scenario():
        worker = registry()
        await storing(worker, "A", "1")
        _, token = await worker.claim("B")
        await worker.leave(Claim("B", token))
        assert claims() == {"A"}  # nothing can have been stored as B
        await worker.leave()
        return await to_settle(registry())

    assert asyncio.run(scenario()) == ["A"]


def test_an_abandoned_candidate_is_settled_before_it_is_claimed(registry):
    async def scenario():
        dead = registry()
        await storing(dead, "A", "1")
        await dead.leave()
        assert await registry().claim("A") == (Step.ABANDONED, NOBODY)

    asyncio.run(scenario())


def test_a_claim_that_could_not_be_settled_keeps_its_content(registry):
    async def scenario():
        dead = registry()
        await storing(dead, "A", "1")
        await dead.leave()
        insisting = registry()
        step, _ = await insisting.claim("A", insist=True)
        assert step == Step.CLAIMED
        await insisting.leave()  # killed before it knew what to store
        return await to_settle(registry())

    assert asyncio.run(scenario()) == ["A"]


def test_who_settles_a_candidate_does_not_free_the_claim_of_the_next(registry, claims):
    async def scenario():
        dead = registry()
        await storing(dead, "A", "1")
        await dead.leave()
        settling = registry()
        taken = [claim async for claim in settling.take_expired()]
        assert [claim.identifier for claim in taken] == ["A"]
        await settling.leave(*taken)  # its lease has run out
        other = registry()
        step, token = await other.claim("A", insist=True)
        assert step == Step.CLAIMED
        await settling.release(taken[0])
        assert claims() == {"A"}
        assert await other.hold("A", token, "2") == (Step.STORE, "A")

    asyncio.run(scenario())


def test_a_message_that_was_sent_takes_no_newer_one_with_it(registry):
    async def scenario():
        worker = registry()
        await worker.commit("A", "1", "first")
        await worker.commit("A", "2", "second")
        await worker.sent("A", "first")
        assert [owed async for owed in worker.outbox()] == [("A", "second")]
        await worker.sent("A", "second")
        assert await worker.owed() == 0

    asyncio.run(scenario())


def test_what_is_registered_stays_when_the_archive_is_read_again(registry, valkey):
    async def scenario():
        worker = registry()
        await worker.commit("A", "2")
        await worker.commit("B", "3")
        await worker.restore([("A", "1", ""), ("C", "3", ""), ("D", "4", "")])

    asyncio.run(scenario())
    names = ("A", "C", "D", "md5:2", "md5:3", "md5:4")
    found = valkey.client.mget([PREFIX + name for name in names])
    assert found == ["2", "3", "4", "A", "B", "D"]
