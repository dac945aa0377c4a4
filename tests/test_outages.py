"""explore"""

import os, time
import pytest
from tests.proxy import Proxy, ProxiedKafka
from tests.witness import Witness, files_below, files_in
from urllib.parse import urlsplit
import secrets

RANGE = {"start": "2025-12-05T12:00", "end": "2025-12-05T12:25"}


@pytest.fixture
def proxy():
    made = []

    def make(port):
        made.append(Proxy(port))
        return made[-1]

    yield make
    for p in made:
        p.stop()


@pytest.mark.parametrize("where", ["redis", "s3", "both"])
@pytest.mark.parametrize("mode", ["pass", "slow", "refuse", "hang", "cut", "403", "503"])
@pytest.mark.parametrize("moment", ["start", "fetch", "put", "putanswered"])
def test_x(where, mode, moment, proxy, crawl, feed, valkey, bucket, topic, capsys):
    redis = proxy(valkey.port)
    s3 = proxy(urlsplit(bucket.endpoint).port)
    fp = proxy(urlsplit(feed.url).port)
    feed.set(clock="2025-12-05T12:00:00+00:00", advance=5)
    env = {
        **bucket.settings,
        "REDIS_URL": f"redis://{redis.address}/0",
        "AWS_ENDPOINT_URL": f"http://{s3.address}",
        "MISO_API_URL": f"http://{fp.address}/api/RealTimeTotalLoad",
        **topic.settings,
    }

    def go():
        for p in {"redis": [redis], "s3": [s3], "both": [redis, s3]}[where]:
            p.fail(403, "AccessDenied") if mode == "403" else p.fail(
                503, "SlowDown"
            ) if mode == "503" else p.turn(mode)

    if moment == "start":
        go()
    elif moment == "fetch":
        fp.when(b"GET ", 2, go)
    elif moment == "put":
        s3.when(b"PUT ", 2, go)
    else:
        s3.when(b"PUT ", 2, go, answered=True)
    t = time.time()
    c = os.times()
    try:
        run = crawl(env=env, **RANGE)
    except Exception as e:
        print("TIMEOUT", (e.stdout or b"").decode(), (e.stderr or b"").decode())
        raise
    print("took", time.time() - t, run.status)
    print(
        "\n".join(
            l
            for l in run.log.splitlines()
            if any(x in l for x in ("] WARN", "] ERR", "] CRIT", "Trace", "miso/", "stored real"))
            or "[" not in l
            and "'" not in l
        )
    )
    s3.turn("pass")
    redis.turn("pass")
    w = lambda: Witness(files_in(bucket.client, bucket.name), valkey.client, topic.messages())
    w().stored_means_safe()
    t = time.time()
    run = crawl(env=env, **RANGE)
    print("again took", time.time() - t, run.status, run.outcomes)
    a = w()
    a.all_promises()
    a.nothing_left_open()
    print(len(a.contents))
    assert run.status == 0
