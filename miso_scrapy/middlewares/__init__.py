"""What stands between candidates, the feed and the spider."""
