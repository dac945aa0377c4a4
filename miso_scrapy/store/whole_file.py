"""Write a user's output file so that it appears only when it is complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from miso_scrapy.store import StoreUnavailable


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """Yield a temporary file that replaces *target* at the end, unless there is an exception.

    Raises StoreUnavailable.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
        temporary.replace(target)
    except OSError as error:
        if error.strerror is None:  # of a Dask cluster, not of a file: reported elsewhere
            raise
        raise StoreUnavailable(
            f"{target} cannot be written: {error.strerror}; check -o and the free space"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
