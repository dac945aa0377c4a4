"""The command `miso-scrapy`: Scrapy's command line with this project's settings, from any directory."""

import os
import signal
import sys

SETTINGS = "miso_scrapy.settings"


def main() -> None:
    """Run Scrapy's command line. A Scrapy project in the working directory has no influence."""
    if os.getpid() == 1:
        # The kernel sends the first process of a container only the signals that it handles. Scrapy
        # handles SIGTERM while it crawls; this ends the process before that, and in other commands.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    # These imports take half a second, so they come after the handler.
    from scrapy.cmdline import execute
    from scrapy.settings import Settings

    from miso_scrapy.cli.program import NAME, rename_scrapy

    rename_scrapy()
    sys.argv[0] = NAME  # with python -m it is a path
    os.environ["SCRAPY_SETTINGS_MODULE"] = SETTINGS
    settings = Settings()
    settings.setmodule(SETTINGS, priority="project")
    execute(settings=settings)


if __name__ == "__main__":
    main()
