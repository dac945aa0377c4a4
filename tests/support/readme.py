"""The README, and what is shown in it."""

import re

from tests.support.project import PROJECT

README = (PROJECT / "README.md").read_text()


def fences(language):
    """The fenced blocks of *language*, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
