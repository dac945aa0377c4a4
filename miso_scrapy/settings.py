"""Settings of miso_scrapy, for Scrapy 2.19.

The comment of each setting gives its reason, its default and its environment variable. A value given
as a Scrapy setting (``-s NAME=value``) takes precedence. https://docs.scrapy.org/en/latest/topics/settings.html
"""

import os

from miso_scrapy import __version__

BOT_NAME = "miso_scrapy"
SPIDER_MODULES = ["miso_scrapy.spiders"]
NEWSPIDER_MODULE = "miso_scrapy.spiders"
COMMANDS_MODULE = "miso_scrapy.commands"

# --- The feed ---------------------------------------------------------------------------------

# The URL of the feed. The live feed needs no key; `scrapy simulate` serves a simulated one.
# Environment: MISO_API_URL
MISO_API_URL = os.environ.get(
    "MISO_API_URL", "https://public-api.misoenergy.org/api/RealTimeTotalLoad"
)

# The delay in seconds after which a candidate of the future is fetched: MISO needs some time to
# publish it. Default 60. Environment: MISO_PUBLISH_DELAY
MISO_PUBLISH_DELAY = os.environ.get("MISO_PUBLISH_DELAY", "60")

# Whether a snapshot must cover its candidate to be filed: the feed answers requests for a past day
# with today. 0 files every snapshot, marked `"covered": false` if it does not cover its candidate, for
# a feed that replays past days. Default 1. Environment: MISO_REQUIRE_COVERAGE
MISO_REQUIRE_COVERAGE = os.environ.get("MISO_REQUIRE_COVERAGE", "1")

# --- Politeness -------------------------------------------------------------------------------

# Tells MISO which program sends the requests.
USER_AGENT = f"miso_scrapy/{__version__} (archive of RealTimeTotalLoad; Scrapy)"

# Seconds between the start of one request to the feed and the start of the next, for all runs that
# share a registry. All candidates in between get the same answer. MISO asks not to fetch a link more
# than once per minute, and blocks clients that do: values below 60 are refused for its hosts. 0 is for
# your own feed: each candidate gets its own answer. Default 60. Environment: MISO_MIN_INTERVAL
MISO_MIN_INTERVAL = os.environ.get("MISO_MIN_INTERVAL", "60")

# One URL, one request at a time (Scrapy's defaults: 16, and 8 per domain).
CONCURRENT_REQUESTS = 1
CONCURRENT_REQUESTS_PER_DOMAIN = 1

# An answer is one item. For each answer Scrapy starts this number of tasks (its default: 100), and
# parses the source of a generator callback to warn of a return in it. Together they took a quarter of
# the CPU time of a snapshot.
CONCURRENT_ITEMS = 1
WARN_ON_GENERATOR_RETURN_VALUE = False

# An asyncio event loop in C: a candidate takes a quarter less CPU when the feed has not changed.
ASYNCIO_EVENT_LOOP = "uvloop.Loop"

# The feed is JSON.
DEFAULT_REQUEST_HEADERS = {"Accept": "application/json"}
REDIRECT_MAX_TIMES = 5

# --- Safety -----------------------------------------------------------------------------------

# Scrapy does not verify certificates by default.
DOWNLOAD_VERIFY_CERTIFICATES = True
# Both let a followed run stop at once. That of HTTPS also trusts the system's roots and those of
# certifi, as some systems have none.
DOWNLOAD_HANDLERS = {
    "http": "miso_scrapy.downloadhandlers.http.StoppableDownloadHandler",
    "https": "miso_scrapy.downloadhandlers.https.TrustingDownloadHandler",
}
# A PEM file of additional certificates to trust, such as an intermediate certificate that a server
# does not send. Default: none. Environment: MISO_CA_FILE
MISO_CA_FILE = os.environ.get("MISO_CA_FILE", "")

# A snapshot has about 15 KB: an answer of 5 MB is not a snapshot.
DOWNLOAD_MAXSIZE = 5_000_000
DOWNLOAD_WARNSIZE = 1_000_000

# Sends no Referer header to another host after a redirection: MISO_API_URL may hold a key.
REFERRER_POLICY = "same-origin"

# No open ports. EXTENSIONS_BASE leaves out both extensions, too.
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False

# --- Failures ---------------------------------------------------------------------------------

# How long to wait for an answer of the feed, in seconds. Slow answers take 2 to 4 s. Default 30.
# Environment: DOWNLOAD_TIMEOUT
DOWNLOAD_TIMEOUT = os.environ.get("DOWNLOAD_TIMEOUT", "30")

# How many times a failed request to the feed is sent again; each retry waits for its turn.
# Default 3. Environment: RETRY_TIMES
RETRY_TIMES = os.environ.get("RETRY_TIMES", "3")
RETRY_HTTP_CODES = [408, 429]  # and every 5xx
# This project's log line names the candidate and what to do; Scrapy's would only repeat it.
RETRY_GIVE_UP_LOG_LEVEL = "DEBUG"

# --- The archive ------------------------------------------------------------------------------

# dev, staging or prod: the first part of every registry key. Environment: ENVIRONMENT
ENVIRONMENT = os.environ.get("ENVIRONMENT", "dev")

# The directory of the archive, if there is no bucket. Without Redis it also holds the registry and the
# times of the requests to the feed. Default ./data. Environment: MISO_DATA_DIR
MISO_DATA_DIR = os.environ.get("MISO_DATA_DIR", "data")

# The bucket of the archive, instead of a directory. Default: none. Environment: S3_BUCKET
S3_BUCKET = os.environ.get("S3_BUCKET", "")
# The profile of ~/.aws/config to use. boto3 reads AWS_ENDPOINT_URL, AWS_REGION and the rest of its
# usual chain itself. Default: none. Environment: AWS_PROFILE
AWS_PROFILE = os.environ.get("AWS_PROFILE", "")

# --- The registry -----------------------------------------------------------------------------

# Redis or Valkey: a URL (redis://:password@host:6379/0, rediss:// for TLS), or its parts. Default: an
# embedded Valkey under MISO_DATA_DIR. Environment: REDIS_URL, REDIS_HOST, REDIS_PORT, REDIS_DB
REDIS_URL = os.environ.get("REDIS_URL", "")
REDIS_HOST = os.environ.get("REDIS_HOST", "")
REDIS_PORT = os.environ.get("REDIS_PORT", "6379")
REDIS_DB = os.environ.get("REDIS_DB", "0")

# How long a registration is kept, in days. Default 365. Environment: REGISTRY_TTL_DAYS
REGISTRY_TTL_DAYS = os.environ.get("REGISTRY_TTL_DAYS", "365")

# How long a claim stays valid after its worker was killed, in seconds. Other workers wait that long. A
# running worker renews its claims. Default 60. Environment: REGISTRY_CLAIM_TTL
REGISTRY_CLAIM_TTL = os.environ.get("REGISTRY_CLAIM_TTL", "60")

# --- Notification -----------------------------------------------------------------------------

# If both are set, one message per stored file is sent: host:port,host:port and a topic that exists.
# Environment: KAFKA_BROKERS, KAFKA_TOPIC
KAFKA_BROKERS = os.environ.get("KAFKA_BROKERS", "")
KAFKA_TOPIC = os.environ.get("KAFKA_TOPIC", "")
# PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Default: SSL if a KAFKA_SSL_ file is set, else PLAINTEXT;
# with SASL_ in front if KAFKA_SASL_MECHANISM is set. Environment: KAFKA_SECURITY_PROTOCOL
KAFKA_SECURITY_PROTOCOL = os.environ.get("KAFKA_SECURITY_PROTOCOL", "")
# TLS of the brokers: PEM files of the authority, of the client's certificate and of its key, and the
# password of the key. Default: none. Environment: the same names
KAFKA_SSL_CAFILE = os.environ.get("KAFKA_SSL_CAFILE", "")
KAFKA_SSL_CERTFILE = os.environ.get("KAFKA_SSL_CERTFILE", "")
KAFKA_SSL_KEYFILE = os.environ.get("KAFKA_SSL_KEYFILE", "")
KAFKA_SSL_PASSWORD = os.environ.get("KAFKA_SSL_PASSWORD", "")
# Login at the brokers: the mechanism (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512), the name and the password.
# Default: none. Environment: the same names
KAFKA_SASL_MECHANISM = os.environ.get("KAFKA_SASL_MECHANISM", "")
KAFKA_SASL_USERNAME = os.environ.get("KAFKA_SASL_USERNAME", "")
KAFKA_SASL_PASSWORD = os.environ.get("KAFKA_SASL_PASSWORD", "")
# How long a run waits for a broker that is down, in seconds. It waits at most once a minute, not for
# each message. Default 10. Environment: KAFKA_TIMEOUT
KAFKA_TIMEOUT = os.environ.get("KAFKA_TIMEOUT", "10")

# --- Components (https://docs.scrapy.org/en/latest/topics/item-pipeline.html) ---------------------

# The _BASE settings list Scrapy's own components, without those that are not needed for one JSON URL
# (cookies, robots.txt, links, a console...). Disabling a component is not enough, as Scrapy still
# imports it: a run of one snapshot, 105,120 times a year, takes 2.0 s of CPU time with them and 1.4 s
# without.

SPIDER_MIDDLEWARES_BASE = {
    "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware": 50,
    "scrapy.spidermiddlewares.referer.RefererMiddleware": 700,  # for redirections
}
SPIDER_MIDDLEWARES = {
    "miso_scrapy.spidermiddlewares.claim.ClaimMiddleware": 100,
    "miso_scrapy.spidermiddlewares.ask_again.AskAgainMiddleware": 200,
}

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
    # Before the middlewares that prepare a request for the network, as most requests are answered
    # without it. It gets responses after decompression.
    "miso_scrapy.downloadermiddlewares.feed_access.FeedAccessMiddleware": 550,
}

ITEM_PIPELINES = {
    # The order matters: a file is stored before it is registered, and registered before it is
    # announced.
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

# --- Reading the archive ----------------------------------------------------------------------

# The exported tables, a directory or s3://BUCKET/PREFIX, that `scrapy audit` and `scrapy report` bring
# up to date and answer from, so that they read only the files that are new. Default: none, they read
# all files.
# Environment: MISO_TABLES
MISO_TABLES = os.environ.get("MISO_TABLES", "")

# --- Monitoring -------------------------------------------------------------------------------

# The file for Prometheus metrics of the run: a *.prom file in the directory that node_exporter's
# textfile collector reads. Default: none. Environment: METRICS_FILE
METRICS_FILE = os.environ.get("METRICS_FILE", "")
# How often a run writes METRICS_FILE while it goes on, in seconds. Default 60.
# Environment: METRICS_INTERVAL
METRICS_INTERVAL = os.environ.get("METRICS_INTERVAL", "60")

# A run reports the feed as stale if its newest interval is older than this, in minutes. Default 15.
# Environment: MISO_STALE_AFTER
MISO_STALE_AFTER = os.environ.get("MISO_STALE_AFTER", "15")
# A run reports a burst of 503s if it gets more 503 answers than this; one failed candidate gets four.
# Default 5. Environment: MISO_MAX_503
MISO_MAX_503 = os.environ.get("MISO_MAX_503", "5")
# Monitors check each run at its end, and log a line if they fail. Spidermon's own settings add other
# actions. Each is an environment variable too, as schedulers and secret stores set those.
# https://spidermon.readthedocs.io/en/latest/settings.html Environment: SPIDERMON_...
SPIDERMON_ENABLED = "1"
SPIDERMON_SPIDER_CLOSE_MONITORS = ["miso_scrapy.monitors.RunMonitors"]
globals().update({name: os.environ[name] for name in os.environ if name.startswith("SPIDERMON_")})

# --- Logs -------------------------------------------------------------------------------------

# The least important level that is logged: DEBUG, INFO, WARNING or ERROR. Default INFO.
# Environment: LOG_LEVEL
LOG_LEVEL = os.environ.get("LOG_LEVEL", "INFO")
# json (one object per line, for log collectors), or a format string of Python's logging. Default:
# plain text lines. Environment: LOG_FORMAT
LOG_FORMAT = os.environ.get("LOG_FORMAT", "%(asctime)s [%(name)s] %(levelname)s: %(message)s")
# Whether Scrapy's statistics of the run are logged at INFO. With 0 they are logged at DEBUG, as is what
# Scrapy tells of itself when it starts. Default 0. Environment: STATS_DUMP
STATS_DUMP = os.environ.get("STATS_DUMP", "0")
# Times in the log are UTC, and say so.
LOG_DATEFORMAT = "%Y-%m-%d %H:%M:%SZ"
ADDONS = {"miso_scrapy.logs.handler.Log": 0}
# One line per candidate, without its payload.
LOG_FORMATTER = "miso_scrapy.logs.formatter.OneLineFormatter"
