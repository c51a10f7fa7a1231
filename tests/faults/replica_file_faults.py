"""Files of a replica that are damaged where they lie, at each level."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ..project import wait_until
from ..proof.journal import Event
from .catalogue import Catalogue, Course, Fault
from .world import World

replica_files = Catalogue()

# Compacts often enough that there soon are files of each level, and keeps those that
# a level was made of.
_LEVELS = {
    "levels": [{"interval": "700ms"}, {"interval": "2s"}],
    "snapshot": {"interval": "2s", "retention": "1h"},
    "l0-retention": "1h",
}
LEVELS = (0, 1, 2, 9)

type Harm = Callable[[World, Path], None]


def corrupted(world: World, file: Path) -> None:
    """Some bytes in the middle are others."""
    content = bytearray(file.read_bytes())
    # Its header and its trailer are looked at for themselves.
    at = world.chance.randrange(100, max(len(content) - 16, 101))
    content[at] ^= 1 + world.chance.randrange(255)
    file.write_bytes(content)


def truncated(world: World, file: Path) -> None:
    """Its end is missing."""
    content = file.read_bytes()
    file.write_bytes(content[: world.chance.randrange(len(content))])


def missing(world: World, file: Path) -> None:
    """It is not there."""
    file.unlink()


def duplicated(world: World, file: Path) -> None:
    """Another file's content is there, under this one's name."""
    others = [other for other in files_of(world, file) if other != file]
    shutil.copyfile(world.chance.choice(others), file)


def twice(world: World, file: Path) -> None:
    """It is there a second time, at the next level."""
    level = LEVELS.index(int(file.parent.name))
    other = file.parent.with_name(str(LEVELS[(level + 1) % len(LEVELS)]))
    other.mkdir(exist_ok=True)
    shutil.copyfile(file, other / file.name)


HARMS: tuple[Harm, ...] = (corrupted, truncated, missing, duplicated, twice)


def files_of(world: World, file: Path) -> list[Path]:
    return sorted(file.parent.glob("*.ltx"))


def damage(level: int, harm: Harm) -> Fault:
    """Return the fault that does ``harm`` to a file of ``level``."""

    def happen(world: World) -> Course:
        directory = world.replica / "ltx" / str(level)
        wait_until(lambda: len(list(directory.glob("*.ltx"))) > 1)
        world.stop_writer()
        file = world.chance.choice(sorted(directory.glob("*.ltx")))
        harm(world, file)
        outcome = yield
        world.expect_good_or_begin_anew(outcome)

    happen.__name__ = f"level_{level}_{harm.__name__}"
    happen.__doc__ = f"A file of level {level}: {harm.__doc__}"
    return Fault(happen=happen, options={"settings": _LEVELS})


replica_files.faults += [damage(level, harm) for level in LEVELS for harm in HARMS]


@replica_files.fault(settings=_LEVELS)
def replica_deleted(world: World) -> Course:
    """All of the replica is deleted under the daemon."""
    # At once: the daemon would put new files into a directory that is emptied.
    world.replica.rename(world.directory / "deleted")
    outcome = yield
    world.expect_good_or_begin_anew(outcome)


@replica_files.fault(settings=_LEVELS)
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
