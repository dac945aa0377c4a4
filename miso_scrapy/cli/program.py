"""The name of the command that the user typed: scrapy or miso-scrapy."""

from __future__ import annotations

import re
import sys
from typing import Any

from scrapy import cmdline

NAME = "miso-scrapy"


def program() -> str:
    """Return the name of the command that was started: "miso-scrapy", else "scrapy"."""
    return NAME if sys.argv[0] == NAME else "scrapy"


def rename_scrapy() -> None:
    """Make Scrapy's usage and its list of commands say "miso-scrapy".

    Scrapy has no setting for it: the name "scrapy" is part of its texts.
    """
    vars(cmdline).update(ScrapyArgumentParser=_Parser, print=_print)


class _Parser(cmdline.ScrapyArgumentParser):
    def __init__(self, *, usage: str, **options: Any) -> None:
        super().__init__(usage=_renamed(usage), **options)


def _print(*texts: str) -> None:
    print(*map(_renamed, texts))  # noqa: T201


def _renamed(text: str) -> str:
    return re.sub(r'^( *|Use ")scrapy\b', rf"\1{NAME}", text)
