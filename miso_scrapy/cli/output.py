"""Standard output whose reader may end before the command does, as in `scrapy audit | head -1`."""

from __future__ import annotations

import io
import os
import sys


def outlive_the_reader() -> None:
    """Let the program end as usual, with its own exit status, when nobody reads its output any more."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper):  # not a script's own replacement
        unbuffered = 0 if stream.write_through else -1
        sys.stdout = _Output(
            open(stream.fileno(), "wb", unbuffered, closefd=False),  # noqa: SIM115
            stream.encoding,
            stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )


class _Output(io.TextIOWrapper):
    """A text stream that drops what is written to it when its reader has gone."""

    def write(self, text: str) -> int:
        """Write *text*. Return the number of characters."""
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Write what is in the buffer."""
        try:
            super().flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Write to nowhere from now on, also what is still in the buffer."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
