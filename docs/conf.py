"""How the documentation is built: `just docs`."""

import django_litestream

project = "django-litestream"
author = "the django-litestream authors"
version = release = django_litestream.__version__

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# The theme brings its fonts and scripts: a page that is read needs no network.
html_theme = "furo"
html_title = f"django-litestream {release}"
html_copy_source = False
html_show_copyright = False
