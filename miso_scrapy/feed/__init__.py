"""The feed: what a snapshot is, when it is, what it covers, and how it is known again.

Plain Python: nothing here imports Scrapy, Redis, boto3 or Kafka.
"""
