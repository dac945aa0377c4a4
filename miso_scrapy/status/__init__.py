"""How collecting goes: what `scrapy status` reports. Everything here only reads."""
