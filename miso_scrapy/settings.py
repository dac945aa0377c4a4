"""Settings of miso_scrapy, for Scrapy 2.19.

Every knob has its place here: why, the default, the environment variable. Each can also be given as
a Scrapy setting (``-s NAME=value``), which wins. https://docs.scrapy.org/en/latest/topics/settings.html
"""

import os

from miso_scrapy import __version__

BOT_NAME = "miso_scrapy"
SPIDER_MODULES = ["miso_scrapy.spiders"]
NEWSPIDER_MODULE = "miso_scrapy.spiders"
COMMANDS_MODULE = "miso_scrapy.commands"

# --- The feed ---------------------------------------------------------------------------------

# The live feed needs no key. `scrapy simulate` serves a look-alike. Environment: MISO_API_URL
MISO_API_URL = os.environ.get(
    "MISO_API_URL", "https://public-api.misoenergy.org/api/RealTimeTotalLoad"
)

# How long after its time a candidate of the future is fetched, in seconds: MISO needs a while to
# publish it. Default 60. Environment: MISO_PUBLISH_DELAY
MISO_PUBLISH_DELAY = os.environ.get("MISO_PUBLISH_DELAY", "60")

# A snapshot of today is not filed under another day. 0 files it all the same, marked
# `"covered": false`: for a replay of one's own. Default 1. Environment: MISO_REQUIRE_COVERAGE
MISO_REQUIRE_COVERAGE = os.environ.get("MISO_REQUIRE_COVERAGE", "1")

# --- Politeness -------------------------------------------------------------------------------

# MISO should be able to see who asks.
USER_AGENT = f"miso_scrapy/{__version__} (archive of RealTimeTotalLoad; Scrapy)"

# Seconds between the start of one request to the feed and the start of the next, for all who share
# a registry; every candidate in between gets the same answer. MISO asks not to fetch a link more than
# once per minute, and bans who does: below 60 is refused for its hosts. 0, for a feed of one's own:
# each candidate gets an answer of its own. Default 60. Environment: MISO_MIN_INTERVAL
MISO_MIN_INTERVAL = os.environ.get("MISO_MIN_INTERVAL", "60")

# One URL, one request at a time (Scrapy's defaults: 16, and 8 per domain).
CONCURRENT_REQUESTS = 1
CONCURRENT_REQUESTS_PER_DOMAIN = 1

# An answer is one item. For each answer Scrapy starts as many tasks as this (its default: 100), and
# reads the source of a callback that is a generator, to warn of a return in it: a quarter of the CPU
# that a snapshot took.
CONCURRENT_ITEMS = 1
WARN_ON_GENERATOR_RETURN_VALUE = False

# asyncio's own loop, in C: a candidate of a feed that did not change takes a quarter less CPU.
ASYNCIO_EVENT_LOOP = "uvloop.Loop"

# The feed is JSON.
DEFAULT_REQUEST_HEADERS = {"Accept": "application/json"}
REDIRECT_MAX_TIMES = 5

# --- Safety -----------------------------------------------------------------------------------

# Scrapy does not verify certificates by default.
DOWNLOAD_VERIFY_CERTIFICATES = True
# Trusted are the system's roots and certifi's, as not every system has some.
DOWNLOAD_HANDLERS = {"https": "miso_scrapy.downloadhandlers.https.TrustingDownloadHandler"}
# More certificates to trust: a PEM file, such as of an intermediate that a server does not send.
# Default: none. Environment: MISO_CA_FILE
MISO_CA_FILE = os.environ.get("MISO_CA_FILE", "")

# A snapshot has about 15 KB: 5 MB is no snapshot.
DOWNLOAD_MAXSIZE = 5_000_000
DOWNLOAD_WARNSIZE = 1_000_000

# A redirection to another host does not tell it where we came from: MISO_API_URL may hold a key.
REFERRER_POLICY = "same-origin"

# Nothing listens; neither extension is in EXTENSIONS_BASE, besides.
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False

# --- Trouble ----------------------------------------------------------------------------------

# Slow answers take 2 to 4 s. Default 30 s. Environment: DOWNLOAD_TIMEOUT
DOWNLOAD_TIMEOUT = os.environ.get("DOWNLOAD_TIMEOUT", "30")

# How often a request to the feed is tried again, after the first try, each when its turn comes.
# Default 3. Environment: RETRY_TIMES
RETRY_TIMES = os.environ.get("RETRY_TIMES", "3")
RETRY_HTTP_CODES = [408, 429]  # and every 5xx
# Our own line names the candidate and what to do; Scrapy's would only repeat it.
RETRY_GIVE_UP_LOG_LEVEL = "DEBUG"

# --- The archive ------------------------------------------------------------------------------

# dev, staging or prod: the first part of every registry key. Environment: ENVIRONMENT
ENVIRONMENT = os.environ.get("ENVIRONMENT", "dev")

# Where files go without a bucket; without Redis the registry and the turns at the feed are here too.
# Default ./data. Environment: MISO_DATA_DIR
MISO_DATA_DIR = os.environ.get("MISO_DATA_DIR", "data")

# The bucket files go to instead. Default: none. Environment: S3_BUCKET
S3_BUCKET = os.environ.get("S3_BUCKET", "")
# The profile of ~/.aws/config to use. boto3 reads AWS_ENDPOINT_URL, AWS_REGION and the rest of its
# usual chain by itself. Default: none. Environment: AWS_PROFILE
AWS_PROFILE = os.environ.get("AWS_PROFILE", "")

# --- The registry -----------------------------------------------------------------------------

# Redis or Valkey: a URL (redis://:password@host:6379/0, rediss:// for TLS), or its parts. None set:
# an embedded Valkey under MISO_DATA_DIR. Environment: REDIS_URL, REDIS_HOST, REDIS_PORT, REDIS_DB
REDIS_URL = os.environ.get("REDIS_URL", "")
REDIS_HOST = os.environ.get("REDIS_HOST", "")
REDIS_PORT = os.environ.get("REDIS_PORT", "6379")
REDIS_DB = os.environ.get("REDIS_DB", "0")

# How long a registration is remembered, in days. Default 365. Environment: REGISTRY_TTL_DAYS
REGISTRY_TTL_DAYS = os.environ.get("REGISTRY_TTL_DAYS", "365")

# How long a claim outlives a worker that died, in seconds; a living worker renews its own. Others
# wait that long for it. Default 60. Environment: REGISTRY_CLAIM_TTL
REGISTRY_CLAIM_TTL = os.environ.get("REGISTRY_CLAIM_TTL", "60")

# --- Notification -----------------------------------------------------------------------------

# One message per stored file, when both are set: host:port,host:port and a topic that exists.
# Environment: KAFKA_BROKERS, KAFKA_TOPIC
KAFKA_BROKERS = os.environ.get("KAFKA_BROKERS", "")
KAFKA_TOPIC = os.environ.get("KAFKA_TOPIC", "")
# PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Default: SSL where a KAFKA_SSL_ file is given, else
# PLAINTEXT; with SASL_ in front where KAFKA_SASL_MECHANISM is. Environment: the same names
KAFKA_SECURITY_PROTOCOL = os.environ.get("KAFKA_SECURITY_PROTOCOL", "")
KAFKA_SSL_CAFILE = os.environ.get("KAFKA_SSL_CAFILE", "")
KAFKA_SSL_CERTFILE = os.environ.get("KAFKA_SSL_CERTFILE", "")
KAFKA_SSL_KEYFILE = os.environ.get("KAFKA_SSL_KEYFILE", "")
KAFKA_SSL_PASSWORD = os.environ.get("KAFKA_SSL_PASSWORD", "")
KAFKA_SASL_MECHANISM = os.environ.get("KAFKA_SASL_MECHANISM", "")  # PLAIN, SCRAM-SHA-256, -512
KAFKA_SASL_USERNAME = os.environ.get("KAFKA_SASL_USERNAME", "")
KAFKA_SASL_PASSWORD = os.environ.get("KAFKA_SASL_PASSWORD", "")
# How long a broker that is down may keep us waiting, in seconds: at most once a minute, not per
# message. Default 10. Environment: KAFKA_TIMEOUT
KAFKA_TIMEOUT = os.environ.get("KAFKA_TIMEOUT", "10")

# --- The way through (https://docs.scrapy.org/en/latest/topics/item-pipeline.html) -----------------

# The _BASE settings are Scrapy's own parts, here without those that have no use for one JSON URL
# (cookies, robots.txt, links, a console...). To switch one off is not enough: Scrapy imports it all the
# same, and a run of one snapshot, 105,120 times a year, takes 1.4 s of CPU without, 2.0 s with them.

SPIDER_MIDDLEWARES_BASE = {
    "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware": 50,
    "scrapy.spidermiddlewares.referer.RefererMiddleware": 700,  # for redirections
}
SPIDER_MIDDLEWARES = {"miso_scrapy.spidermiddlewares.claim.ClaimMiddleware": 100}

DOWNLOADER_MIDDLEWARES_BASE = {
    "scrapy.downloadermiddlewares.downloadtimeout.DownloadTimeoutMiddleware": 350,
    "scrapy.downloadermiddlewares.defaultheaders.DefaultHeadersMiddleware": 400,
    "scrapy.downloadermiddlewares.useragent.UserAgentMiddleware": 500,
    "miso_scrapy.downloadermiddlewares.decompression.DecompressionMiddleware": 590,
    "scrapy.downloadermiddlewares.redirect.RedirectMiddleware": 600,
    "scrapy.downloadermiddlewares.httpproxy.HttpProxyMiddleware": 750,
    "scrapy.downloadermiddlewares.stats.DownloaderStats": 850,
}
DOWNLOADER_MIDDLEWARES = {
    # Before what prepares a request for the network, as most are answered without it; and after
    # decompression on the way back, so that it reads plain bodies.
    "miso_scrapy.downloadermiddlewares.feed_access.FeedAccessMiddleware": 550,
}

ITEM_PIPELINES = {
    # The order is the promise: nothing is registered before it is stored, or announced before it
    # is registered.
    "miso_scrapy.pipelines.validate.ValidatePipeline": 100,
    "miso_scrapy.pipelines.identity.IdentityPipeline": 120,
    "miso_scrapy.pipelines.freshness.FreshnessPipeline": 150,
    "miso_scrapy.pipelines.coverage.CoveragePipeline": 200,
    "miso_scrapy.pipelines.dedupe.DedupePipeline": 300,
    "miso_scrapy.pipelines.rows.RowsPipeline": 350,
    "miso_scrapy.pipelines.store.StorePipeline": 400,
    "miso_scrapy.pipelines.register.RegisterPipeline": 500,
    "miso_scrapy.pipelines.notify.NotifyPipeline": 600,
}

EXTENSIONS_BASE = {
    "scrapy.extensions.corestats.CoreStats": 0,
    "scrapy.extensions.logcount.LogCount": 0,
    "scrapy.extensions.memusage.MemoryUsage": 0,
    "scrapy.extensions.closespider.CloseSpider": 0,
    "scrapy.extensions.feedexport.FeedExporter": 0,
    "scrapy.extensions.logstats.LogStats": 0,
}
EXTENSIONS = {
    "miso_scrapy.extensions.mask_secrets.MaskSecrets": 0,
    "miso_scrapy.extensions.mistyped_settings.Mistyped": 5,
    "miso_scrapy.extensions.connections.Connections": 10,
    "miso_scrapy.extensions.quarantine.Quarantine": 15,
    "miso_scrapy.extensions.outcomes.Outcomes": 20,
    "miso_scrapy.extensions.summary.Summary": 30,
    "miso_scrapy.extensions.metrics.Metrics": 40,
    "miso_scrapy.extensions.progress.Progress": 50,
    "miso_scrapy.extensions.monitors.Monitors": 60,
}

SPIDER_CONTRACTS = {
    "miso_scrapy.contracts.FeedContract": 10,
    "miso_scrapy.contracts.SnapshotContract": 20,
}

# --- Monitoring -------------------------------------------------------------------------------

# Where Prometheus text about the run goes: a *.prom file in the directory that node_exporter's
# textfile collector reads. Default: none. Environment: METRICS_FILE
METRICS_FILE = os.environ.get("METRICS_FILE", "")
# How often a run that goes on writes it, in seconds. Default 60. Environment: METRICS_INTERVAL
METRICS_INTERVAL = os.environ.get("METRICS_INTERVAL", "60")

# How many minutes the feed's newest interval may be behind the clock. Default 15.
# Environment: MISO_STALE_AFTER
MISO_STALE_AFTER = os.environ.get("MISO_STALE_AFTER", "15")
# How many answers of a run may be 503: one candidate that is given up gets four. Default 5.
# Environment: MISO_MAX_503
MISO_MAX_503 = os.environ.get("MISO_MAX_503", "5")
# Monitors judge each run at its end. What one that fails does beside its log line is said by
# Spidermon's own settings, each an environment variable too: a scheduler has them, or a secret.
# https://spidermon.readthedocs.io/en/latest/settings.html Environment: SPIDERMON_...
SPIDERMON_ENABLED = "1"
SPIDERMON_SPIDER_CLOSE_MONITORS = ["miso_scrapy.monitors.RunMonitors"]
globals().update({name: os.environ[name] for name in os.environ if name.startswith("SPIDERMON_")})

# --- Logs -------------------------------------------------------------------------------------

# Default INFO. Environment: LOG_LEVEL
LOG_LEVEL = os.environ.get("LOG_LEVEL", "INFO")
# json, one object a line, for what collects logs; or a format string of Python's logging. Default:
# lines for people. Environment: LOG_FORMAT
LOG_FORMAT = os.environ.get("LOG_FORMAT", "%(asctime)s [%(name)s] %(levelname)s: %(message)s")
ADDONS = {"miso_scrapy.logs.json_format.JSONLog": 0}
# One line per candidate, without its payload.
LOG_FORMATTER = "miso_scrapy.logs.formatter.OneLineFormatter"
