"""Usage errors of the commands: one line, exit status 2."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from miso_scrapy.extensions.mistyped_settings import warnings_about

if TYPE_CHECKING:
    from scrapy.commands import ScrapyCommand as _Command
else:  # for Scrapy takes each ScrapyCommand here for a command
    _Command = object


def usage_error(command: str, message: object) -> NoReturn:
    """End with *message* in one line, and exit status 2."""
    print(f"scrapy {command}: {' '.join(str(message).split())}", file=sys.stderr)  # noqa: T201
    sys.exit(2)


class StrictUsage(_Command):
    """Refuse, in one line and before anything is done, what a command does not know.

    A command names it before its other base class. Scrapy's parser passes on unknown options among the
    words, and leaves it to the command to look.
    """

    most_words = 0
    """How many words it takes, such as names of spiders."""
    warns = True
    """Whether it warns of mistyped settings itself: those that have no log do."""

    @property
    def name(self) -> str:
        """The command, as the user calls it."""
        return type(self).__module__.rpartition(".")[2]

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Let the parser tell of errors in one line, and take no option for another."""
        super().add_options(parser)
        parser.allow_abbrev = False
        parser.error = partial(usage_error, self.name)  # type: ignore[method-assign]

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Refuse unknown options and words; then set settings, and warn of those that are mistyped."""
        assert self.settings is not None
        words = [word for word in args if not word.startswith("-") and "=" not in word]
        options = [word for word in args if word not in words]
        for unknown in options + words[self.most_words :]:
            usage_error(self.name, f"unknown argument {unknown}: {self.advice(unknown)}")
        for name in (text.partition("=")[0] for text in opts.set):
            if not name.isupper():  # such as -start=..., which is -s tart=...
                usage_error(self.name, f"-s {name}: a setting's name is in capital letters")
        super().process_options(args, opts)
        if self.warns:
            for warning in warnings_about(self.settings):
                print(f"scrapy {self.name}: warning: {warning}", file=sys.stderr)  # noqa: T201

    def advice(self, unknown: str) -> str:
        """Return what to do instead of *unknown*."""
        return f"see scrapy {self.name} --help"
