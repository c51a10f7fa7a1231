"""Google's storage with the login of a service account.

The servers of the other tests take whoever comes, and Litestream asks nobody for a
token where the environment names such a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..own_ca import needs_openssl
from ..replica_world import ReplicaWorld, count_notes
from .google_login import ACCOUNT, GoogleKind, Login, logging_in
from .kinds import served
from .test_failures import (
    REPLICA,
    assert_every_command_says,
    assert_restores,
    own_world,
    path_of,
    refusal_of,
    replicate,
)
from .world import put_replica

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(
        bool(GoogleKind.why_not()), reason=f"unproven: {GoogleKind.why_not()}"
    ),
    needs_openssl,
]


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleKind]:
    kind = GoogleKind(tmp_path_factory.mktemp("google") / "storage")
    with served(kind):
        yield kind


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Login]:
    with logging_in(tmp_path / "login") as started:
        yield started


@pytest.fixture
def world(google: GoogleKind, tmp_path: Path) -> Iterator[ReplicaWorld]:
    with own_world(google, tmp_path) as made:
        yield made


def log_in_with(world: ReplicaWorld, google: GoogleKind, file: Path) -> None:
    put_replica(
        world, google, path_of(world), credentials={"service-account": str(file)}
    )


def test_a_service_account(
    world: ReplicaWorld, google: GoogleKind, login: Login
) -> None:
    log_in_with(world, google, login.account())

    replicated = replicate(world)
    assert replicated.status == 0, replicated.said
    assert set(login.asked) == {ACCOUNT}

    assert_restores(world)
    with world.worker() as worker:
        assert worker.call(count_notes, REPLICA) == worker.call(count_notes, "default")


def test_the_wrong_key_of_a_service_account(
    world: ReplicaWorld, google: GoogleKind, login: Login
) -> None:
    log_in_with(world, google, login.account(with_right_key=False))

    assert_every_command_says(world, "invalid_grant.*Invalid JWT Signature", google)
    assert "invalid_grant" in refusal_of(world).message


def test_a_service_account_whose_file_is_not_there(
    world: ReplicaWorld, google: GoogleKind, tmp_path: Path
) -> None:
    log_in_with(world, google, tmp_path / "nowhere.json")

    reason = "nowhere.json: no such file or directory"
    assert_every_command_says(world, reason, google)
    assert reason in refusal_of(world).message
