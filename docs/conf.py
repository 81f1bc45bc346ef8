"""Sphinx's settings. Pages are Markdown (MyST); a page that nothing links to, or a link to nowhere, fails the build."""

from tenure import __version__

project = "Tenure"
copyright = "the Tenure authors"
author = "the Tenure authors"
version = release = __version__

extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"Tenure {version}"
# The pages need nothing from elsewhere: they can be read without a network.
html_theme_options = {"source_repository": "", "navigation_with_keys": True}
html_show_sphinx = False
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
