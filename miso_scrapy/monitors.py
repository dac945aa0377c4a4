"""Spidermon monitors, which check a run at its end. https://spidermon.readthedocs.io"""

from __future__ import annotations

import logging
from typing import Any

from scrapy.crawler import Crawler
from scrapy.utils.misc import load_object
from spidermon import Monitor, MonitorSuite, monitors
from spidermon.exceptions import NotConfigured

from miso_scrapy.options import Options
from miso_scrapy.run_checks import RunChecks

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
    """The checks of a run. Each fails with one line: what is wrong, and what to do."""

    @monitors.name("stale feed")
    def test_stale_feed(self) -> None:
        """Check that the newest interval was recent when it was fetched."""
        self._expect_none(self._checks.stale_feed())

    @monitors.name("candidates")
    def test_candidates(self) -> None:
        """Check that no candidate failed or was invalid."""
        self._expect_none(self._checks.candidates())

    @monitors.name("burst of 503s")
    def test_burst_of_503s(self) -> None:
        """Check that the feed was not overloaded."""
        self._expect_none(self._checks.burst_of_503s())

    @monitors.name("outbox")
    def test_outbox(self) -> None:
        """Check that the message of every stored file was sent."""
        self._expect_none(self._checks.outbox())

    @monitors.name("errors in the log")
    def test_errors_in_the_log(self) -> None:
        """Check that no errors were logged; this covers errors that no other stat counts."""
        self._expect_none(self._checks.errors_in_the_log())

    @property
    def _checks(self) -> RunChecks:
        return RunChecks(self.data.stats, Options.from_settings(self.data.crawler.settings))

    def _expect_none(self, line: str | None) -> None:
        if line:
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
