"""The terminal that a progress bar is shown at."""

from __future__ import annotations

import os
import sys
from typing import Any


def bar_size() -> dict[str, Any]:
    """Return tqdm's options for the size of a bar on standard error.

    A terminal may have no size, such as a container's: tqdm takes it from there, and shows nothing.
    It is taken to have 80 columns and 24 lines.
    """
    try:
        columns, lines = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # no terminal, or a job runner's stand-in
        return {}
    if columns and lines:
        return {"dynamic_ncols": True}
    return {"ncols": columns or 80, "nrows": lines or 24}
