"""The domain: snapshots of the feed, their interval, coverage, shape, validation and fingerprint.

Plain Python: no module here imports Scrapy, Redis, boto3 or Kafka.
"""
