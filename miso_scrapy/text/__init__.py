"""Text for users: secrets masked, numbers and times in words."""
