"""The registry: which candidate has which content, where it is stored, who is at work on it, and
which messages are owed. It knows neither Scrapy nor the store.
"""
