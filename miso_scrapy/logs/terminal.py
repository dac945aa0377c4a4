"""The terminal on which a progress bar is shown."""

from __future__ import annotations

import os
import sys
from typing import Any


def bar_size() -> dict[str, Any]:
    """Return tqdm's options for the size of a bar on standard error.

    Some terminals report no size, such as those of containers, and tqdm then shows nothing. For these
    return 80 columns and 24 lines.
    """
    try:
        columns, lines = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # not a terminal, or a job runner's replacement
        return {}
    if columns and lines:
        return {"dynamic_ncols": True}
    return {"ncols": columns or 80, "nrows": lines or 24}
