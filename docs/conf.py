"""Sphinx settings. Nothing is fetched while building."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

project = "genfun"
author = "The genfun authors"
project_copyright = author
_version = re.search(r'__version__ = "(.+)"', (ROOT / "genfun" / "_version.py").read_text(encoding="utf-8"))
assert _version is not None
release = version = _version.group(1)

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
math_number_all = False
math_eqref_format = "({number})"

autodoc_member_order = "groupwise"
# Kinds and shapes are in the Parameters sections, in words.
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"genfun {version}"
html_show_copyright = False
