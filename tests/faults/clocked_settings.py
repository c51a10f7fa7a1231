"""The soak's site, with a few more views."""

from soak.site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.faults.clocked_urls"
