"""How the documentation is built. Everything that can be drawn or listed from the code is."""

from __future__ import annotations

import sys
from pathlib import Path

import syncline

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Syncline"
author = "The Syncline authors"
copyright = "The Syncline authors"
release = version = syncline.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "drawn_from_code"]
exclude_patterns = ["_ext"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = f"Syncline {release}"
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Our docstrings write `name` for code; what cannot be linked is set as code and is no mistake.
default_role = "code"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
