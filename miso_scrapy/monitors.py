"""Spidermon monitors, which check a run at its end. https://spidermon.readthedocs.io"""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from scrapy.crawler import Crawler
from scrapy.utils.misc import load_object
from spidermon import Monitor, MonitorSuite, monitors
from spidermon.exceptions import NotConfigured

from miso_scrapy.options import Options
from miso_scrapy.stats import BEHIND_SECONDS, LOST, NEWEST_INTERVAL, OWED, Outcome
from miso_scrapy.text.wording import count

logger = logging.getLogger(__name__)

_ACTIONS = "spidermon.contrib.actions."
# Each action is enabled by a setting that it requires.
ACTIONS = {
    "SPIDERMON_SLACK_SENDER_TOKEN": "slack.notifiers.SendSlackMessageSpiderFinished",
    "SPIDERMON_DISCORD_WEBHOOK_URL": "discord.notifiers.SendDiscordMessageSpiderFinished",
    "SPIDERMON_TELEGRAM_SENDER_TOKEN": "telegram.notifiers.SendTelegramMessageSpiderFinished",
    "SPIDERMON_SNS_TOPIC_ARN": "sns.notifiers.SendSNSNotificationSpiderFinished",
    "SPIDERMON_SMTP_HOST": "email.smtp.SendSmtpEmail",
    "SPIDERMON_SENTRY_DSN": "sentry.SendSentryMessage",
}


@monitors.name("run")
class RunMonitor(Monitor):
    """Checks of the stats of a run. Each fails with one line: what is wrong, and what to do."""

    @monitors.name("stale feed")
    def test_stale_feed(self) -> None:
        """Check that the newest interval was recent when it was fetched."""
        behind = self._stat(BEHIND_SECONDS) / 60
        if behind > self._options.stale_after:
            self._fail(
                f"the feed's newest interval, {self.data.stats[NEWEST_INTERVAL]}, was {behind:.0f} "
                "minutes behind the clock: look at the feed in a browser; newer snapshots are not "
                "available until it continues"
            )

    @monitors.name("candidates")
    def test_candidates(self) -> None:
        """Check that no candidate failed or was invalid."""
        failed, invalid = self._stat(Outcome.FAILED.stat), self._stat(Outcome.INVALID.stat)
        if failed:
            self._fail(
                f"{count(failed, 'candidate')} failed, {invalid} invalid: the log says what to do"
            )
        if invalid:
            self._fail(f"{count(invalid, 'candidate')} invalid: kept in quarantine; see the reason")

    @monitors.name("burst of 503s")
    def test_burst_of_503s(self) -> None:
        """Check that the feed was not overloaded."""
        answers = self._stat("downloader/response_status_count/503")
        if answers > self._options.max_503:
            self._fail(
                f"the feed answered {answers} times with 503: it is overloaded or down; run the same "
                "range again later"
            )

    @monitors.name("outbox")
    def test_outbox(self) -> None:
        """Check that the message of every stored file was sent."""
        owed = self._stat(OWED) + self._stat(LOST)
        if owed:
            self._fail(
                f"{count(owed, 'message')} not sent to the Kafka topic: check KAFKA_BROKERS, then "
                "run again"
            )

    @monitors.name("errors in the log")
    def test_errors_in_the_log(self) -> None:
        """Check that no errors were logged; this covers errors that no other stat counts."""
        errors = self._stat("log_count/ERROR") + self._stat("log_count/CRITICAL")
        if errors:
            self._fail(f"{count(errors, 'error')}: each says what to do")

    @property
    def _options(self) -> Options:
        return Options.from_settings(self.data.crawler.settings)

    def _stat(self, name: str) -> int:
        return int(self.data.stats.get(name, 0))

    def _fail(self, line: str) -> NoReturn:
        raise self.failureException(line)


class RunMonitors(MonitorSuite):
    """The monitors, and the actions to run when one fails, as enabled by the settings."""

    monitors = (RunMonitor,)

    def __init__(self, *args: Any, crawler: Crawler, **kwargs: Any) -> None:
        super().__init__(*args, crawler=crawler, **kwargs)
        for setting, path in ACTIONS.items():
            if not crawler.settings.get(setting):
                continue
            try:
                self.add_monitors_failed_action(load_object(_ACTIONS + path))
            except (ImportError, NotConfigured) as error:
                logger.error(
                    "%s is set, but no notifications are sent: %s; see docs/operating/monitoring.md",
                    setting,
                    error,
                )
