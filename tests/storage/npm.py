"""Programs from npm, each installed once, into a cache of this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from django_litestream.locking import exclusive

from ..checkout import REPOSITORY

_CACHE = REPOSITORY / ".pytest_cache" / "npm"
_LONGEST = 600.0

# The tests take this machine's proxies out of theirs, which npm may need.
_ENVIRON = dict(os.environ)


def why_not() -> str:
    """Return why nothing from npm can run on this machine, if so."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"there is no {' and no '.join(missing)} on this machine" if missing else ""


def installed(package: str, version: str, program: str) -> Path:
    """Return a program of a package, which is installed if it is not yet.

    The test is skipped where that cannot be done.
    """
    directory = _CACHE / f"{package}-{version}"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with exclusive(_CACHE / f"{directory.name}.lock", patience=_LONGEST):
        if not directory.exists():
            _install(f"{package}@{version}", directory)
    return directory / "node_modules" / ".bin" / program


def _install(package: str, directory: Path) -> None:
    """Install beside ``directory``, which is there once the installation is whole."""
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    # Without its package.json npm would look for one in the directories above.
    unfinished.mkdir()
    (unfinished / "package.json").write_text("{}")
    done = subprocess.run(
        [
            *("npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts"),
            *("--no-audit", "--no-fund", "--prefix", str(unfinished), package),
        ],
        env=_ENVIRON,
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        pytest.skip(f"unproven: npm cannot install {package}: {said[:500]}")
    unfinished.rename(directory)
