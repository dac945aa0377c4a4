"""A followed run lives through a day of simulated time, and the archive has what the feed offered."""

import contextlib
import subprocess
from urllib.parse import urlsplit

from tests.support.archive_reader import files_in
from tests.support.faketime import faketime
from tests.support.followed_day import FollowedDay, told_once
from tests.support.project import PROJECT, SCRAPY
from tests.support.tcp_proxy import Proxy


class Scrapy:
    """The project's command, in *directory*, with *environment*."""

    def __init__(self, directory, environment):
        self._directory, self._environment = directory, environment

    def start(self, *command, env, output):
        return subprocess.Popen(
            [SCRAPY, *(command or ("crawl", "miso_rtload", "-a", "follow=1"))],
            cwd=self._directory,
            env={**self._environment, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    @staticmethod
    def send(process, number):
        process.send_signal(number)


class S3:
    """A bucket that may fail: the program reaches it with `.settings`."""

    def __init__(self, bucket):
        self._bucket = bucket
        self._proxy = Proxy(urlsplit(bucket.endpoint).port)
        self.settings = {**bucket.settings, "AWS_ENDPOINT_URL": f"http://{self._proxy.address}"}
        self.stop = self._proxy.stop

    @contextlib.contextmanager
    def down(self):
        self._proxy.turn("refuse")
        yield
        self._proxy.turn("pass")

    def files(self):
        return files_in(self._bucket.client, self._bucket.name)


@faketime
def test_a_day_with_outages_a_kill_and_a_clock_that_jumps_costs_no_value(
    environment, bucket, tmp_path
):
    store = S3(bucket)
    with contextlib.ExitStack() as stack:
        stack.callback(store.stop)
        environment.update(
            store.settings,
            SCRAPY_SETTINGS_MODULE="tests.support.fast_clock_settings",
            PYTHONPATH=str(PROJECT),
        )
        program = Scrapy(tmp_path, environment)
        day = stack.enter_context(FollowedDay(tmp_path, program, store))
        log = day.live()
        day.lost_nothing()
    told_once(log)
