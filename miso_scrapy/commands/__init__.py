"""Commands in addition to Scrapy's. https://docs.scrapy.org/en/latest/topics/commands.html"""

import gc

from miso_scrapy.cli.output import outlive_the_reader

outlive_the_reader()

# Scrapy imports this package when its command line starts. What has been imported until then stays until
# the end: without this, the garbage collector looks at all of it again and again, which takes a fifth of
# the CPU time of a run of one snapshot. `scrapy crawl` does it again for what it has imported.
gc.freeze()
