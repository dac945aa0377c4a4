"""Usage errors of the commands: one line, exit status 2."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from miso_scrapy.cli.program import program
from miso_scrapy.extensions.mistyped_settings import warnings_about

if TYPE_CHECKING:
    from scrapy.commands import ScrapyCommand as _Command
else:  # not ScrapyCommand at run time: Scrapy would load this class as a command
    _Command = object


def usage_error(command: str, message: object) -> NoReturn:
    """Print *message* in one line, and exit with status 2."""
    say(command, " ".join(str(message).split()))
    sys.exit(2)


def say(command: str, message: object) -> None:
    """Print *message* to standard error, after the name of the command."""
    print(f"{program()} {command}: {message}", file=sys.stderr)  # noqa: T201


class StrictUsage(_Command):
    """A base class that refuses unknown arguments in one line, before the command does anything.

    It must be the first base class. Scrapy's parser does not refuse unknown options, but passes them to
    the command among the words.
    """

    most_words = 0
    """The number of words that the command accepts, such as names of spiders."""
    warns = True
    """Whether the command prints a warning about mistyped settings, as it has no log."""

    @property
    def name(self) -> str:
        """The name of the command."""
        return type(self).__module__.rpartition(".")[2]

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Make the parser report errors in one line, and accept no abbreviated options."""
        super().add_options(parser)
        parser.allow_abbrev = False
        parser.error = partial(usage_error, self.name)  # type: ignore[method-assign]

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Refuse unknown options and words, apply the settings, and warn of mistyped ones."""
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
                say(self.name, f"warning: {warning}")

    def advice(self, unknown: str) -> str:
        """Return what to do instead of *unknown*."""
        return f"see {program()} {self.name} --help"
