"""How the site is built: `make docs`, into docs/_build. Offline, and strict: a warning is an error."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import reference_pages  # noqa: E402  # of this folder

project = "Training-aware NAS"
copyright = "its authors, Apache-2.0"
release = metadata.version("training-aware-nas")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generated"]
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Training-aware NAS"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
templates_path = []
pygments_style = "friendly"
nitpicky = True
# Types of other packages, for their documentation is not to be had offline, and types that no page describes.
nitpick_ignore_regex = [("py:.*", r".*")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
toc_object_entries = False
default_role = "literal"  # docstrings write `code` with single quotes
suppress_warnings = ["config.cache"]

reference_pages.write(HERE / "_generated")


def plain_docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put `Raises: text` and the like, which stand on one line, into paragraphs, and what is indented into blocks."""
    found: list[str] = []
    for line, then in zip(lines, [*lines[1:], ""], strict=True):
        match = re.match(r"(Raises|Source|Returns): (.+)", line)
        found += ["", f"**{match[1]}:** {match[2]}"] if match else [line]
        if line.endswith(":") and not line.startswith((" ", "Args:", "Returns:")) and not then:
            found[-1] += ":"  # a literal block follows
    lines[:] = found


def outside(app: Any, page: str, source: list[str]) -> None:
    """Make links to texts outside of docs/ links to files: they are no pages of the site."""
    source[0] = re.sub(r"\]\(((?:\.\./)+experiments/[^)#]+\.\w+)\)", r"](path:\1)", source[0])


def setup(app: Any) -> None:
    """Tell Sphinx of the above."""
    app.connect("autodoc-process-docstring", plain_docstring, priority=400)
    app.connect("source-read", outside)
