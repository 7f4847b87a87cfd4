"""Sphinx settings of the documentation; `make docs` builds it and fails on a warning."""

from __future__ import annotations

from comptool import __version__

project = "comptool"
author = "The comptool developers"
release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
# Part of ARCHITECTURE.md, which the page on the architecture includes.
exclude_patterns = ["_build", "architecture-intro.md"]
# Terminal output with dots for lines that are left out is no language that a highlighter knows.
highlight_language = "text"
# "--option" would become a dash.
smartquotes = False

html_static_path = ["_static"]
html_css_files = ["comptool.css"]
html_theme = "pydata_sphinx_theme"
# Pages without a section below or around them.
html_sidebars = {
    page: [] for page in "install methods files reliability design architecture".split()
}
html_title = "comptool"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "header_links_before_dropdown": 4,
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
}
