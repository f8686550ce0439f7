"""Sphinx configuration: ``sphinx-build -W -b html docs docs/_build/html``, ``-b doctest`` too."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
# An installed copy comes first, else the checkout.
sys.path.append(str(_ROOT))

import moeopt  # noqa: E402

project = "moeopt"
author = "The moeopt developers"
project_copyright = "The moeopt developers, Apache-2.0"
version = release = moeopt.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "moeopt"

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# Docstrings name moeopt's own records in single backquotes; what is public has a page.
default_role = "code"

# Examples write files: not here.
doctest_global_setup = """
import os, tempfile
_there = tempfile.TemporaryDirectory()
_here = os.getcwd()
os.chdir(_there.name)
"""
doctest_global_cleanup = """
os.chdir(_here)
_there.cleanup()
"""

# A table of figures must come out as written: no whitespace is forgiven.
doctest_default_flags = 0
