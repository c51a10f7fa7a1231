"""Replicas read as they were at moments in the past."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections
from django.utils import timezone as django_timezone
from django.utils.connection import ConnectionDoesNotExist

from django_litestream import time_travel
from django_litestream.errors import MomentNotHeld
from django_litestream.moments import as_moment
from django_litestream.replica_status import ReplicaStatus, look_at

from .project import wait_until
from .replica_app.models import Note
from .replica_world import ReplicaWorld, Worker, in_threads, replica_world

REPLICA = "default_replica"
COMMITS = 50
THREADS = 8
# Before the last commit, so that a time ago can be told that lies there.
GAP = 2.0

Rows = list[tuple[int, str]]


@dataclass(frozen=True)
class Past:
    """What was in the database when; the last commit is the only one after ``gap``."""

    moments: list[datetime]
    rows: list[Rows]
    gap: datetime


@dataclass(frozen=True)
class Stage:
    world: ReplicaWorld
    worker: Worker
    past: Past


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A database after fifty commits, replicated one by one."""
    directory = tmp_path_factory.mktemp("travel")
    with replica_world(directory / "project") as world:
        entry = world.litestream["dbs"][0]
        entry["monitor-interval"] = entry["replica"]["sync-interval"] = "10ms"
        world.write_settings()
        with world.replicating(), world.worker() as worker:
            yield Stage(world, worker, make_past(world, worker))


def make_past(world: ReplicaWorld, worker: Worker) -> Past:
    moments, rows = [], []
    gap = datetime.now(UTC)
    for number in range(COMMITS):
        if number == COMMITS - 1:
            time.sleep(GAP)
            gap = datetime.now(UTC) - timedelta(seconds=GAP / 2)
        rows.append(worker.call(commit, number))
        world.wait_until_replicated()
        # Litestream tells moments apart by milliseconds.
        time.sleep(0.01)
        moments.append(datetime.now(UTC))
        time.sleep(0.01)
    return Past(moments, rows, gap)


def commit(number: int) -> Rows:
    """Commit one change, of each kind in turn; return all rows there are then."""
    notes = Note.objects.order_by("pk")
    if number % 3 == 1:
        notes.update(source=f"changed by {number}")
    elif number % 5 == 3:
        notes[:1].get().delete()
    else:
        Note.objects.create(source=f"made by {number}", written_at=time.time())
    return rows_of("default")


def rows_of(alias: str) -> Rows:
    return list(Note.objects.using(alias).order_by("pk").values_list("pk", "source"))


def rows_at(when: datetime | timedelta | str) -> Rows:
    with time_travel(REPLICA, when) as alias:
        return rows_of(alias)


def rows_at_each_in_threads(moments: list[datetime]) -> list[dict[int, Rows]]:
    def travel(number: int) -> dict[int, Rows]:
        order = list(range(len(moments)))
        random.Random(number).shuffle(order)
        return {index: rows_at(moments[index]) for index in order}

    return in_threads(THREADS, travel)


def test_each_moment_has_its_rows_in_threads_at_once(stage: Stage) -> None:
    assert len({tuple(rows) for rows in stage.past.rows}) == COMMITS

    found = stage.worker.call(rows_at_each_in_threads, stage.past.moments)

    assert len(found) == THREADS
    for rows in found:
        assert rows == dict(enumerate(stage.past.rows))


def status_at(when: datetime) -> ReplicaStatus:
    with time_travel(REPLICA, when) as alias:
        (status,) = look_at(alias)
    return status


def test_a_moment_of_the_past_does_not_lag(stage: Stage) -> None:
    """Nothing comes to it, though its primary's daemon goes on."""
    status = stage.worker.call(status_at, stage.past.moments[0])
    assert status.behind
    assert status.reason == ""


def rows_at_all_at_once(moments: list[datetime]) -> tuple[list[list[Rows]], Rows]:
    """Travel to all moments, one inside of the other, and read each in each thread."""
    with ExitStack() as travels:
        aliases = [
            travels.enter_context(time_travel(REPLICA, moment)) for moment in moments
        ]
        assert len(set(aliases)) == len(moments)
        found = in_threads(THREADS, lambda _: [rows_of(alias) for alias in aliases])
        found.append([rows_of(alias) for alias in aliases])
        return found, rows_of(REPLICA)


def test_nested_travels_are_independent_and_any_thread_may_use_them(
    stage: Stage,
) -> None:
    chosen = slice(0, COMMITS, 7)

    found, now = stage.worker.call(rows_at_all_at_once, stage.past.moments[chosen])

    assert found == [stage.past.rows[chosen]] * (THREADS + 1)
    assert now == stage.past.rows[-1]


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def connections_of_thread(alias: str) -> bool:
    return hasattr(connections._connections, alias)  # type: ignore[attr-defined]


def travel_and_fail(moments: list[datetime]) -> dict[str, Any]:
    """Leave travels by an exception; return what is left of them."""
    rows_of(REPLICA)
    before = set(connections), descriptors(), threading.active_count()
    aliases = []
    for moment in moments:
        with suppress(LookupError), time_travel(REPLICA, moment) as alias:
            aliases.append(alias)
            assert alias in connections
            assert connections_of_thread(alias)
            in_threads(2, lambda _, alias=alias: rows_of(alias))  # type: ignore[misc]
            assert rows_of(alias)
            raise LookupError
    for alias in aliases:
        with pytest.raises(ConnectionDoesNotExist):
            connections[alias]
    wait_until(
        lambda: before == (set(connections), descriptors(), threading.active_count())
    )
    return {
        "travels": len(set(aliases)),
        "connections": [alias for alias in aliases if connections_of_thread(alias)],
    }


def test_nothing_is_left_of_a_travel_that_fails(stage: Stage) -> None:
    left = stage.worker.call(travel_and_fail, stage.past.moments[:20])

    assert left == {"travels": 20, "connections": []}


def read_in_a_thread_that_stays(moment: datetime) -> tuple[Rows, str, bool]:
    """Go on in another thread when the travel is over, and on to another travel."""
    has_read, is_over = threading.Event(), threading.Event()
    found: list[Any] = []

    def read() -> None:
        connection = connections[alias]
        found.append(rows_of(alias))
        has_read.set()
        is_over.wait()
        with pytest.raises(OperationalError) as refusal:
            connection.ensure_connection()
        found.append(str(refusal.value))
        rows_at(moment)
        found.append(connections_of_thread(alias))

    with time_travel(REPLICA, moment) as alias:
        reader = threading.Thread(target=read)
        reader.start()
        has_read.wait()
    is_over.set()
    reader.join()
    rows, message, is_kept = found
    return rows, message, is_kept


def test_another_thread_cannot_read_on_when_the_travel_is_over(stage: Stage) -> None:
    rows, message, is_kept = stage.worker.call(
        read_in_a_thread_that_stays, stage.past.moments[20]
    )

    assert rows == stage.past.rows[20]
    assert message.startswith(f"The time travel to '{REPLICA}@")
    assert "is over" in message
    assert not is_kept


def refusal_of(when: Any, alias: str = REPLICA) -> tuple[str, str]:
    try:
        with time_travel(alias, when):
            raise AssertionError
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        return type(error).__name__, str(error)


def oldest_moment_named(when: datetime) -> tuple[str, datetime, bool]:
    with pytest.raises(MomentNotHeld) as refusal, time_travel(REPLICA, when):
        pass
    error = refusal.value
    return str(error), error.oldest, isinstance(error, ValueError)


@pytest.mark.parametrize("earlier", [timedelta(minutes=1), timedelta(days=400)])
def test_a_moment_before_the_backup_names_the_first_there_is(
    stage: Stage, earlier: timedelta
) -> None:
    message, oldest, is_value_error = stage.worker.call(
        oldest_moment_named, stage.past.moments[0] - earlier
    )

    assert is_value_error
    assert message.startswith(f"The replica '{REPLICA}' has nothing from 20")
    named = re.search(r"its oldest moment is (\S+ \S+) UTC\.$", message)
    assert named is not None
    assert oldest == datetime.fromisoformat(named[1]).replace(tzinfo=UTC)
    held = stage.worker.call(rows_at, f"{named[1]}+00:00")
    assert held in [[], *stage.past.rows]


@pytest.mark.parametrize(
    ("when", "kind", "said"),
    [
        ("nonsense", "ValueError", "'nonsense' is no moment: give one such as"),
        ("1 fortnight ago", "ValueError", "'1 fortnight ago' is no moment"),
        ("", "ValueError", "'' is no moment"),
        ("9999-01-01T00:00:00Z", "ValueError", "has not come yet"),
        (timedelta(hours=-1), "ValueError", "has not come yet"),
        (1700000000, "TypeError", "is expected, not int"),
        (None, "TypeError", "is expected, not NoneType"),
    ],
)
def test_what_is_no_moment_of_the_past_is_refused(
    stage: Stage, when: Any, kind: str, said: str
) -> None:
    name, message = stage.worker.call(refusal_of, when)

    assert name == kind
    assert said in message


def test_only_replicas_have_a_past(stage: Stage) -> None:
    assert stage.worker.call(refusal_of, "1 hour ago", "default") == (
        "ImproperlyConfigured",
        "'default' is not a Litestream replica: settings.LITESTREAM['vfs'] lists those "
        "there are.",
    )


def rows_in_time_zone(zone: str, moment: datetime) -> list[Rows]:
    with django_timezone.override(zone):
        local = django_timezone.make_naive(moment)
        return [rows_at(local), rows_at(local.isoformat()), rows_at(str(local))]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_a_naive_moment_is_in_the_current_time_zone(stage: Stage, zone: str) -> None:
    found = stage.worker.call(rows_in_time_zone, zone, stage.past.moments[30])

    assert found == [stage.past.rows[30]] * 3


@pytest.mark.parametrize("offset", [0, 9, -3.5])
def test_a_moment_may_have_its_own_time_zone(stage: Stage, offset: float) -> None:
    zone = timezone(timedelta(hours=offset))
    moment = stage.past.moments[10].astimezone(zone)

    assert stage.worker.call(rows_at, moment) == stage.past.rows[10]
    assert stage.worker.call(rows_at, moment.isoformat()) == stage.past.rows[10]


def rows_ago(moment: datetime) -> list[Rows]:
    now = datetime.now(UTC)
    ago = now - moment
    return [rows_at(ago), rows_at(f"{ago.total_seconds()} seconds ago")]


def test_a_time_ago_is_counted_from_now(stage: Stage) -> None:
    found = stage.worker.call(rows_ago, stage.past.gap)

    assert found == [stage.past.rows[-2]] * 2


def test_one_second_ago(stage: Stage) -> None:
    wait_until(
        lambda: datetime.now(UTC) - stage.past.moments[-1] > timedelta(seconds=1)
    )

    assert stage.worker.call(rows_at, "1 second ago") == stage.past.rows[-1]


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("1 second ago", timedelta(seconds=1)),
        ("90 seconds ago", timedelta(seconds=90)),
        ("1.5 min ago", timedelta(seconds=90)),
        ("2 Hours Ago", timedelta(hours=2)),
        (" 3 days ago ", timedelta(days=3)),
        ("1 week ago", timedelta(days=7)),
    ],
)
def test_words_for_a_time_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    moment = as_moment(text)

    assert before - ago <= moment <= datetime.now(UTC) - ago
