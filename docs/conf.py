"""Sphinx's settings: `make docs` builds the guide to out/docs; SHAPEKIT_DOCS_RUN=1 also runs the gallery's examples, which the tests run anyway."""

import os

from shapekit.version import __version__

project = "shapekit"
author = "shapekit's contributors"
copyright = "shapekit's contributors, Apache-2.0"  # noqa: A001
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "gallery/*.rst", "auto_gallery/*.ipynb"]
suppress_warnings = ["config.cache"]  # the gallery's settings hold objects

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say more than the annotations
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

RUN = os.environ.get("SHAPEKIT_DOCS_RUN") == "1"
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"\.py$",
    "plot_gallery": RUN,
    "download_all_examples": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "min_reported_time": 1 << 20,
}

highlight_language = "none"
html_theme = "furo"
html_title = f"shapekit {__version__}"
html_copy_source = False
html_show_sourcelink = False
linkcheck_ignore = [r"https://osf\.io/.*"]  # answers scripts with 403
linkcheck_timeout = 30
