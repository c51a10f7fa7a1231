"""What Litestream says of this project's backup, through ``call_command``."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command


@dataclass(frozen=True, kw_only=True)
class Backup:
    """Where the backup is kept, and why it is not being kept up, if it is not."""

    replica: Path
    problem: str = ""


def backup() -> Backup:
    """Ask the daemon whether it replicates the database."""
    replica = Path(settings.LITESTREAM["dbs"][0]["replica"]["path"])
    try:
        listed = json.loads(_litestream("list", "-json"))["databases"]
    except CommandError as error:
        return Backup(replica=replica, problem=str(error))
    states = {database["status"] for database in listed}
    if states != {"replicating"}:
        return Backup(
            replica=replica, problem=f"Its state is {', '.join(states) or 'unknown'}."
        )
    return Backup(replica=replica)


def verify() -> str:
    """Prove that the newest commit can be restored; return what was found.

    Raises ``CommandError`` where it cannot be, or nothing could be found out.
    """
    return _litestream("verify", "-timeout", "5", "default").splitlines()[0]


def _litestream(*words: str) -> str:
    out = io.StringIO()
    call_command("litestream", *words, stdout=out, stderr=io.StringIO())
    return out.getvalue()
