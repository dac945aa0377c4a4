"""A terminal, and somebody who reads it."""

import contextlib
import os
import pty
import subprocess
import termios

from tests.support.project import SCRAPY


def at_a_terminal(args, directory, environment, rows, columns):
    """Run `scrapy ARGS...` at a terminal of *rows* by *columns*; return what it showed."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    process = subprocess.Popen(
        [SCRAPY, *args],
        cwd=directory,
        env={**environment, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # what a terminal says when nobody is left
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    return shown.decode()
