"""Text for people: secrets masked, numbers in words."""
