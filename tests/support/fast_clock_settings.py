"""The project's settings, with time-outs of S3 that suit a fast clock: the client counts by its own."""

from botocore.config import Config

from miso_scrapy.settings import *  # noqa: F403
from miso_scrapy.store import s3

s3._CONFIG = s3._CONFIG.merge(Config(connect_timeout=6000, read_timeout=6000))
