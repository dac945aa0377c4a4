"""Code that commands share. It is not below commands/, where Scrapy loads each class as a command."""
