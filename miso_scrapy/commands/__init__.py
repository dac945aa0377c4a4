"""Commands beside Scrapy's own. https://docs.scrapy.org/en/latest/topics/commands.html"""
