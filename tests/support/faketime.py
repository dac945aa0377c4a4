"""A clock that a test sets, for the runs that it starts."""

import shutil
from pathlib import Path

import pytest

faketime = pytest.mark.skipif(
    not shutil.which("faketime"), reason="needs Debian's package faketime (as root)"
)


def libfaketime():
    """The library that the command `faketime` preloads. The command fails now and then if many run."""
    return str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))


class Clock:
    """A clock on 5 December 2025, in UTC, which goes on from the time it is set to. It may jump.

    Give the runs `.env`; the file that names the time is in *directory*.
    """

    def __init__(self, directory, time):
        self._file = directory / "clock"
        self.set(time)
        self.env = {
            "TZ": "UTC",  # of the times in the file
            "LD_PRELOAD": libfaketime(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # that one never jumps
        }

    def set(self, time):
        """Set the clock to *time*, such as "12:30"."""
        later = self._file.with_suffix(".later")
        later.write_text(f"@2025-12-05 {time}:00\n")
        later.replace(self._file)
