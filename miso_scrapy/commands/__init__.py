"""Commands beside Scrapy's own. https://docs.scrapy.org/en/latest/topics/commands.html"""

from __future__ import annotations

import sys
from typing import NoReturn

from miso_scrapy import jsonlog

jsonlog.install()  # here, as it is for every command, Scrapy's own too


def usage_error(command: str, message: object) -> NoReturn:
    """End with *message* in one line, and exit status 2."""
    print(f"scrapy {command}: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
