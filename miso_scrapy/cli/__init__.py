"""What the commands have in common. Scrapy takes each class below commands/ for a command."""
