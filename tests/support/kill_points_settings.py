"""The project's settings, with the seams of tests/support/kill_points.py among its components."""

from miso_scrapy.settings import *  # noqa: F403
from tests.support.kill_points import COMPONENTS

for _name, _components in COMPONENTS.items():
    globals()[_name] = {**globals()[_name], **_components}
