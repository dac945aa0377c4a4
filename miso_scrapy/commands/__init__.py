"""Commands in addition to Scrapy's. https://docs.scrapy.org/en/latest/topics/commands.html"""
