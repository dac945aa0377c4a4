"""The runbook has an entry for whatever asks for a person, and each entry says the same four things."""

import re

import pytest

from tests.support.documentation import PROJECT, anchors, page

TEXT = page("operating/runbook")
ENTRIES = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", TEXT, re.MULTILINE))
FOUR = ["What it means", "What is lost, and when", "What to do", "How to see that it is over"]
LOG_MESSAGES = page("reference/log-messages")


def entry(anchor):
    """Return the text of the entry with *anchor*."""
    (found,) = [text for title, text in ENTRIES.items() if anchors(f"## {title}") == {anchor}]
    return found


def symptom(text):
    """Return what an entry says before its list, in one line."""
    return " ".join(text.partition("\n- **")[0].split())


SYMPTOMS = " ".join(map(symptom, ENTRIES.values()))
SHOWN = [name for name in re.findall(r"`([^`]+)`", SYMPTOMS) if " " in name]


@pytest.mark.parametrize("title", ENTRIES)
def test_an_entry_says_what_it_means_what_is_lost_what_to_do_and_when_it_is_over(title):
    assert re.findall(r"^- \*\*(.*?):\*\*", ENTRIES[title], re.MULTILINE) == FOUR
    assert symptom(ENTRIES[title])


def test_every_complaint_of_the_status_has_its_entry():
    named = re.findall(
        r"\"([a-z0-9]+(?:-[a-z0-9]+)+)\"", (PROJECT / "miso_scrapy/status/report.py").read_text()
    )
    assert len(set(named)) == 8
    for anchor in set(named):
        assert "of `scrapy status`" in symptom(entry(anchor)), anchor


def test_every_monitor_is_in_an_entry():
    named = re.findall(
        r"@monitors\.name\(\"(.*)\"\)", (PROJECT / "miso_scrapy/monitors.py").read_text()
    )
    for name in set(named) - {"run"}:
        assert re.search(rf"monitors? [^.]*`{name}`", SYMPTOMS), name


@pytest.mark.parametrize("message", [name for name in SHOWN if "..." in name])
def test_a_message_that_an_entry_names_is_in_the_log_messages(message):
    for part in filter(None, (part.strip(" ;,:") for part in message.split("..."))):
        assert part in LOG_MESSAGES


@pytest.mark.parametrize("heading", re.findall(r"^## (.*)$", LOG_MESSAGES, re.MULTILINE))
def test_the_messages_of_each_kind_have_entries(heading):
    rows = LOG_MESSAGES.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    messages = re.findall(r"`([^`]+)`", rows)
    assert set(messages) & set(SHOWN)
