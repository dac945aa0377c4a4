"""The registry: the content of each candidate, workers' claims, and the messages to be sent.

It records which candidate has which content, where that is stored, which worker is at work on it, and
which messages are owed. It depends neither on Scrapy nor on the store.
"""
