"""How the log looks: lines, JSON, masked secrets, the progress bar."""
