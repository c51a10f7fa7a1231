"""Files of a replica that are damaged where they lie.

A restore of the newest state reads the newest snapshot, and after it the highest
levels. So there is one snapshot, and the level whose file is damaged is the highest
one: what is damaged stays needed. Or it is needed for a moment of the past alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django_litestream.verify_report import Verdict

from ..project import wait_until
from ..proof.journal import Event
from ..proof.oracle import judge
from .catalogue import Catalogue, Course, Fault
from .world import World

replica_files = Catalogue()

_NEVER = "10000h"


def _compacting(*intervals: str) -> dict[str, Any]:
    """Return settings with levels of these intervals, which keep what they are of."""
    return {
        "levels": [{"interval": interval} for interval in intervals],
        "snapshot": {"interval": _NEVER, "retention": _NEVER},
        "l0-retention": _NEVER,
    }


_COMPACTED = _compacting("700ms", "1500ms")
_NOT_COMPACTED = _compacting(_NEVER)
_SNAPSHOT = 9

# What Litestream says of a file that is not what it should be.
_REASON = re.compile(
    "decode database: |invalid ltx file: |non-contiguous"
    "|no matching backup files available"
)

type Harm = Callable[[World, Path], None]


def corrupted(world: World, file: Path) -> None:
    """A byte in its middle is another."""
    content = bytearray(file.read_bytes())
    # Its header and its trailer are looked at for themselves.
    at = world.chance.randrange(100, max(len(content) - 16, 101))
    content[at] ^= 1 + world.chance.randrange(255)
    _write(file, bytes(content))


def truncated(world: World, file: Path) -> None:
    """Its end is missing."""
    content = file.read_bytes()
    _write(file, content[: world.chance.randrange(len(content))])


def missing(world: World, file: Path) -> None:
    """It is not there, nor what it was made of, which would do as well."""
    first, last = txids(file)
    for other in files(world):
        its_first, its_last = txids(other)
        if level(other) < level(file) and its_last >= first and its_first <= last:
            other.unlink()
    file.unlink()


def mistaken(world: World, file: Path) -> None:
    """Another file's content is there, under this one's name."""
    _write(file, world.chance.choice(strangers(world, file)).read_bytes())


HARMS: tuple[Harm, ...] = (corrupted, truncated, missing, mistaken)


def _write(file: Path, content: bytes) -> None:
    # Litestream takes a file's time for that of its transactions.
    times = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def files(world: World) -> list[Path]:
    return sorted(world.replica.glob("ltx/*/*.ltx"))


def level(file: Path) -> int:
    return int(file.parent.name)


def txids(file: Path) -> tuple[int, int]:
    """Return the first and the last transaction that a file is of."""
    first, _, last = file.stem.partition("-")
    return int(first, 16), int(last, 16)


def strangers(world: World, file: Path) -> list[Path]:
    """Return the files that share no transaction with this one.

    One that shares some may do in its place, where what is before and after it overlaps.
    """
    first, last = txids(file)
    return [
        other
        for other in files(world)
        if txids(other)[0] > last or txids(other)[1] < first
    ]


def harmable(world: World, chosen: Iterable[Path]) -> list[Path]:
    """Return those of ``chosen`` that any harm can be done to."""
    return [one for one in chosen if strangers(world, one)]


def needed(world: World, *moment: str) -> list[Path]:
    """Return what a restore of the newest state, or of a moment, reads, in order."""
    words = ("restore", "-dry-run", "-json", *moment)
    nothing = world.directory / "nothing"
    planned = world.project.run(*words, "-o", str(nothing), "default")
    assert planned.returncode == 0, planned.stderr
    return [
        world.replica / "ltx" / str(file["level"]) / file["name"]
        for file in json.loads(planned.stdout)["files"]
    ]


def damage_to_needed(at: int, settings: dict[str, Any], harm: Harm) -> Fault:
    """Return the fault that does ``harm`` to what a restore needs of level ``at``."""

    def happen(world: World) -> Course:
        found: list[Path] = []

        def find() -> bool:
            snapshot, *others = needed(world)
            if level(snapshot) == _SNAPSHOT:
                found[:] = harmable(
                    world, (one for one in (snapshot, *others) if level(one) == at)
                )
            return bool(found)

        wait_until(find)
        world.stop_writer()
        harm(world, world.chance.choice(found))
        outcome = yield
        assert outcome.verdict is Verdict.BAD, outcome
        assert outcome.told.startswith("The replica cannot be restored: ")
        assert _REASON.search(outcome.told), outcome.told
        world.begin_anew()

    happen.__name__ = f"needed_of_level_{at}_{harm.__name__}"
    happen.__doc__ = f"Of a file of level {at} that a restore needs: {harm.__doc__}"
    return Fault(happen=happen, options={"settings": settings})


def damage_to_the_past(harm: Harm) -> Fault:
    """Return the fault that does ``harm`` to what only a moment of the past needs."""

    def happen(world: World) -> Course:
        found: list[Path] = []
        then: tuple[str, ...] = ()

        def find() -> bool:
            nonlocal then
            then = ("-timestamp", _moment(world))
            newest = needed(world)
            # Without the last one it would be a moment a little before.
            before = needed(world, *then)[:-1]
            found[:] = harmable(world, (one for one in before if one not in newest))
            return bool(found)

        wait_until(lambda: (world.replica / "ltx" / "1").exists())
        wait_until(find)
        world.stop_writer()
        harm(world, world.chance.choice(found))
        outcome = yield
        assert outcome.verdict is Verdict.GOOD, outcome
        copy = world.directory / "then.sqlite3"
        restored = world.project.run("restore", *then, "-o", str(copy), "default")
        if harm is missing and restored.returncode == 0:
            # Litestream may end before a hole, and does not say so.
            problems = judge(copy, world.journal_acknowledged_by(0))
            assert not problems, problems
            return
        assert restored.returncode == 1, restored
        assert _REASON.search(restored.stderr), restored.stderr
        assert not copy.exists()

    happen.__name__ = f"needed_for_the_past_{harm.__name__}"
    happen.__doc__ = f"Of a file that only a moment of the past needs: {harm.__doc__}"
    return Fault(happen=happen, options={"settings": _COMPACTED})


def _moment(world: World) -> str:
    """Return the moment of some transaction that is not the first."""
    _, *later = sorted((world.replica / "ltx" / "0").glob("*.ltx"))
    made = world.chance.choice(later)
    return datetime.fromtimestamp(made.stat().st_mtime, UTC).isoformat()


for _at, _settings in ((0, _NOT_COMPACTED), (2, _COMPACTED), (_SNAPSHOT, _COMPACTED)):
    replica_files.faults += [damage_to_needed(_at, _settings, harm) for harm in HARMS]
replica_files.faults += [damage_to_the_past(harm) for harm in HARMS]


@replica_files.fault(settings=_COMPACTED)
def file_twice(world: World) -> Course:
    """A file is there a second time, at another level."""
    wait_until(lambda: (world.replica / "ltx" / "2").exists())
    world.stop_writer()
    file = world.chance.choice(files(world))
    others = [at for at in (0, 1, 2, _SNAPSHOT) if at != level(file)]
    other = file.parent.with_name(str(world.chance.choice(others)))
    shutil.copy2(file, other / file.name)
    outcome = yield
    world.expect_good_or_begin_anew(outcome)


@replica_files.fault(settings=_COMPACTED)
def replica_deleted(world: World) -> Course:
    """All of the replica is deleted under the daemon."""
    # At once: the daemon would put new files into a directory that is emptied.
    world.replica.rename(world.directory / "deleted")
    outcome = yield
    world.expect_good_or_begin_anew(outcome)


@replica_files.fault(settings=_COMPACTED)
def replica_put_back(world: World) -> Course:
    """The replica is as it was some time before, as from a backup of the backup."""
    world.stop_daemon()
    old = world.directory / "old"
    shutil.copytree(world.replica, old)
    world.start_daemon()
    world.wait_for_more(Event.ACKNOWLEDGED, 2)
    world.stop_daemon()
    shutil.rmtree(world.replica)
    old.rename(world.replica)
    world.start_daemon()
    outcome = yield
    world.expect_good_or_begin_anew(outcome)
