"""The programs that the project is compared with. Each runs in its own process."""

from pathlib import Path

PEERS = Path(__file__).parent
