"""Litestream's VFS, an extension of SQLite, as a Python package."""

import sys
from importlib.resources import files
from pathlib import Path

__all__ = ["ENTRYPOINT", "extension_path"]

#: The function of the library that SQLite has to call.
ENTRYPOINT = "sqlite3_litestreamvfs_init"


def extension_path() -> Path:
    """Return where the shared library is.

    Raises ``FileNotFoundError`` where the installation has lost it.
    """
    name = "litestream-vfs.dylib" if sys.platform == "darwin" else "litestream-vfs.so"
    path = Path(str(files(__name__).joinpath(name)))
    if not path.is_file():
        raise FileNotFoundError(
            f"The Litestream VFS library is not at {path}: "
            "`pip install --force-reinstall litestream-vfs-bin` puts it back."
        )
    return path
