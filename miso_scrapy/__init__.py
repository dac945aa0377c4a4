"""miso_scrapy: an archive of MISO's real-time total load, one snapshot every five minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miso_scrapy.dataset.interface import Archive, ArchiveError, open_archive

__all__ = ["Archive", "ArchiveError", "open_archive"]
__version__ = "0.1.0"


if not TYPE_CHECKING:  # a type checker knows the names, and finds one that is misspelt

    def __getattr__(name: str) -> Any:
        """Return a name of the Python interface. Import it only then: a collector does not need it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from miso_scrapy.dataset import interface
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{error.name} is not installed: pip install 'miso-scrapy[dataset]'"
            ) from error
        return getattr(interface, name)

    def __dir__() -> list[str]:
        """Return the names of this module, for completion, with those that are imported only later."""
        return sorted({*globals(), *__all__})
