"""Sphinx's configuration. https://www.sphinx-doc.org/en/master/usage/configuration.html

The build needs no network: there is no intersphinx, and furo brings its own styles and scripts.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from miso_scrapy import __version__

project = "miso_scrapy"
author = "the miso_scrapy authors"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "generated"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "miso_scrapy"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
# Code that no lexer fits is shown as plain text.
highlight_language = "text"


def setup(app: Sphinx) -> None:
    """Show crontab lines as plain text: Pygments has no lexer for them."""
    app.add_lexer("crontab", TextLexer)
