"""What the project is measured against. Each runs in a process of its own."""

from pathlib import Path

PEERS = Path(__file__).parent
