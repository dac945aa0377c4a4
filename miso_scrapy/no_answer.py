"""Why the feed gave no answer, and what to do: the same words for a cause, wherever it is told."""

from __future__ import annotations

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.spidermiddlewares.httperror import HttpError

from miso_scrapy.exceptions import UntrustedServer
from miso_scrapy.text.wording import one_line


def why_no_answer(
    error: BaseException | None, timeout: float, again: str = ""
) -> tuple[str, str, str]:
    """Return the reason of *error*, what to do about it, and the log level.

    *timeout* is that of a request, in seconds. *again* says how to ask the feed again; it is part of
    what to do, where the cause may be over by then.
    """
    then = f", then {again}" if again else ""
    if isinstance(error, HttpError):
        status = error.response.status
        if asked := error.response.headers.get("Retry-After"):
            return f"HTTP {status} (Retry-After: {asked.decode('latin-1')[:60]})", again, "ERROR"
        if status == 404:
            return "HTTP 404", "the data may not be available; check MISO_API_URL", "WARNING"
        if status < 500 and status not in (408, 429):
            return f"HTTP {status}", "check MISO_API_URL", "ERROR"
        return f"HTTP {status}", again, "ERROR"
    if isinstance(error, DownloadTimeoutError):
        return f"no answer within {timeout:g} s", f"check the network{then}", "ERROR"
    if isinstance(error, DownloadConnectionRefusedError):
        return "connection refused", "check MISO_API_URL and the network", "ERROR"
    if isinstance(error, CannotResolveHostError):
        return "no address for the host", "check MISO_API_URL and the network", "ERROR"
    if isinstance(error, ResponseDataLossError):
        return "a cut-off body", again, "ERROR"
    if isinstance(error, DownloadCancelledError):
        return "an answer over 5 MB", "check MISO_API_URL", "ERROR"
    if isinstance(error, UntrustedServer):
        return error.what, error.fix, "ERROR"
    if isinstance(error, DownloadFailedError):
        return "a connection that broke off", f"check the network{then}", "ERROR"
    if isinstance(error, IgnoreRequest):  # too many redirections
        return str(error), "check MISO_API_URL", "ERROR"
    return one_line(error), f"check the network{then}", "ERROR"
