"""A site whose reads are routed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..replica_world import ReplicaWorld, Worker


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    """Two databases, two replicas of the one, one of the other, and some not read."""
    # Models can be imported once Django is set up, which is after this module is.
    from ..replica_world import replica_world
    from ..routing_project.site import make_site

    directory = tmp_path_factory.mktemp("router")
    # A compaction may have a replica's place taken by its primary for a moment.
    seldom = [{"interval": "1h"}]
    with replica_world(
        directory / "project", "default", "other", levels=seldom
    ) as made:
        replica = made.vfs["default_replica"]
        made.vfs["second_replica"] = replica
        made.vfs["kept_out"] = {**replica, "route": False}
        made.vfs["nowhere"] = {**replica, "url": (directory / "nowhere").as_uri()}
        make_site(made, "tests.routing_project.routers.BooksElsewhere")
        made.write_note()
        with made.replicating():
            yield made


@pytest.fixture(scope="module")
def worker(world: ReplicaWorld) -> Iterator[Worker]:
    """A process in which replicas are read already."""
    from .places import make_rows, wait_until_read_from

    with world.worker() as made:
        made.call(make_rows)
        made.call(wait_until_read_from)
        yield made
