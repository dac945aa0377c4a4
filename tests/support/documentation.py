"""The documentation as the tests read it: pages, fenced blocks, sections."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parent.parent.parent
DOCS = PROJECT / "docs"
_FENCE = re.compile(r"^( *)(`{3,})(\S*)[^\n]*\n(.*?)^\1\2$", re.MULTILINE | re.DOTALL)


class Fence(NamedTuple):
    """A fenced block."""

    language: str
    text: str
    after: str
    """What is between the block before and this one."""


def pages():
    """Return {name: text} of README, CONTRIBUTING and all pages: "collecting/index", "README"..."""
    found = {
        path.stem: path.read_text() for path in PROJECT.glob("*.md") if path.stem != "CHANGELOG"
    }
    for path in sorted(DOCS.rglob("*.md")):
        if "_build" not in path.parts:
            found[str(path.relative_to(DOCS).with_suffix(""))] = path.read_text()
    return found


def page(name):
    """Return the text of the page *name*, such as "collecting/scrapyd"."""
    return pages()[name]


def blocks(text):
    """Return the fenced blocks of *text*, in order."""
    found, end = [], 0
    for match in _FENCE.finditer(text):
        found.append(Fence(match[3], textwrap.dedent(match[4]), text[end : match.start()]))
        end = match.end()
    return found


def fences(text, language):
    """Return the text of the fenced blocks of *text* in *language*, in order."""
    return [fence.text for fence in blocks(text) if fence.language == language]


def section(text, title):
    """Return what is below the heading *title*, up to the next heading of its level."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def anchors(text):
    """Return the anchors that the headings of *text* have, as GitHub and MyST make them."""
    prose = _FENCE.sub("", text)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    }
