"""Where the project and its command are, and what must not reach a test."""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SCRAPY = str(Path(sys.executable).with_name("scrapy"))
# What a developer's own shell may hold, and a test must not.
FOREIGN = re.compile(
    r"AWS_|REDIS_|KAFKA_|MISO_|S3_|REGISTRY_|RETRY_|LOG_|METRICS_|SPIDERMON_|ENVIRONMENT$|STATS_|DOWNLOAD_|SCRAPY_"
)
