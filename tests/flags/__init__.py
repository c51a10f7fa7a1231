"""A case for each flag of each subcommand."""

import pytest

MODULES = [
    f"{__name__}.{name}"
    for name in ("configuration", "control", "files", "replicate", "restore")
]
# They assert, and are no tests to pytest.
pytest.register_assert_rewrite(*MODULES)
