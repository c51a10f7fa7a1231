"""A short soak loses nothing, and its judgement finds what a long one looks for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soak.judging import Question, Wrong, judge
from soak.resources import Samples, Use
from soak.truth import Truth

from .project import PATIENCE, linux
from .proof.journal import Event, Writing
from .proof.ledger import NOTHING, Row, following

REPOSITORY = Path(__file__).parents[1]
ROWS = 30
type Answer = dict[str, Any]


class Ledger:
    """Thirty committed rows and a begun one; what is read of them can be falsified."""

    def __init__(self, journal: Path) -> None:
        writing, row = Writing(journal), NOTHING
        self.rows: list[tuple[int, str, str]] = []
        for number in range(1, ROWS + 2):
            payload = f"payload of {number}"
            row = following(row, payload)
            writing.add(Event.BEGAN, row)
            self.rows.append((number, payload, row.checksum))
            if number <= ROWS:
                writing.add(Event.COMMITTED, row)
        self.truth = Truth(journal)
        self.truth.catch_up()

    def row(self, number: int) -> Row:
        found, _, checksum = self.rows[number - 1]
        return Row(found, checksum)

    def newest(self, last: int = ROWS, alias: str = "default_replica") -> Answer:
        rows = [list(row) for row in reversed(self.rows[last - 5 : last])]
        return {"alias": alias, "tally": last, "rows": rows}

    def totals(self, last: int = ROWS) -> Answer:
        return {
            "alias": "default_replica",
            "count": last,
            "newest": last,
            "sum": sum(range(last + 1)),
        }

    def kinds(self, answer: Answer, own: Row = NOTHING) -> list[str]:
        return [wrong.kind for wrong in self.wrong(answer, own)]

    def wrong(self, answer: Answer, own: Row = NOTHING) -> list[Wrong]:
        moment = self.truth.committed_at(ROWS)
        assert moment is not None
        question = Question(ledger="default", asked_at=moment + 1, own=own)
        return judge(question, answer, self.truth).wrong


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "journal")


def test_what_was_committed_may_be_read(ledger: Ledger) -> None:
    own = ledger.row(ROWS)
    assert ledger.wrong(ledger.newest(), own) == []
    assert ledger.wrong(ledger.totals(), own) == []
    assert ledger.wrong(ledger.newest(alias="default"), own) == []


def test_a_replica_may_be_behind_and_a_primary_may_not(ledger: Ledger) -> None:
    assert ledger.wrong(ledger.newest(20)) == []
    assert ledger.kinds(ledger.newest(20, alias="default")) == ["primary"]


def test_an_own_write_may_not_be_missing(ledger: Ledger) -> None:
    own = ledger.row(ROWS)
    assert ledger.kinds(ledger.newest(20), own) == ["own write"]
    assert ledger.kinds(ledger.totals(20), own) == ["own write"]
    assert ledger.kinds(ledger.newest(), Row(ROWS, "another")) == ["own write"]


def leave_out(answer: Answer) -> None:
    del answer["rows"][2]


def change_payload(answer: Answer) -> None:
    answer["rows"][2][1] = "changed"


def take_from_another_database(answer: Answer) -> None:
    row = following(NOTHING, "of another ledger")
    answer["rows"] = [[row.number, "of another ledger", row.checksum]]
    answer["tally"] = row.number


def make_tally_older(answer: Answer) -> None:
    answer["tally"] -= 1


def make_tally_newer(answer: Answer) -> None:
    answer["tally"] += 1


@pytest.mark.parametrize(
    ("falsify", "kind"),
    [
        (leave_out, "gap"),
        (change_payload, "checksum"),
        (take_from_another_database, "never committed"),
        (make_tally_older, "tally"),
        (make_tally_newer, "tally"),
    ],
)
def test_a_false_answer_is_found(
    ledger: Ledger, falsify: Callable[[Answer], None], kind: str
) -> None:
    answer = ledger.newest()
    falsify(answer)
    assert ledger.kinds(answer) == [kind]


def test_a_gap_is_found_by_the_totals(ledger: Ledger) -> None:
    answer = ledger.totals()
    answer["count"] -= 1
    assert ledger.kinds(answer) == ["gap"]


def test_a_begun_row_may_be_read_if_it_is_there_in_the_end(ledger: Ledger) -> None:
    assert ledger.wrong(ledger.newest(ROWS + 1)) == []
    committed = {number: checksum for number, _, checksum in ledger.rows}
    assert ledger.truth.seen_in_vain(committed) == []
    del committed[ROWS + 1]
    assert ledger.truth.seen_in_vain(committed) == [ledger.row(ROWS + 1)]


def test_staleness_is_that_of_the_oldest_missing_row(ledger: Ledger) -> None:
    moment = ledger.truth.committed_at(21)
    assert moment is not None
    question = Question(ledger="default", asked_at=moment + 7, own=NOTHING)
    stale = judge(question, ledger.newest(20), ledger.truth).staleness
    assert stale == pytest.approx(7)
    assert judge(question, ledger.newest(), ledger.truth).staleness == 0


@pytest.mark.parametrize(
    ("megabytes", "descriptors", "grows"),
    [(0.0, 0.0, False), (10.0, 0.0, True), (0.0, 2.0, True)],
)
def test_growth_is_found(megabytes: float, descriptors: float, grows: bool) -> None:
    uses = [
        Use(megabytes=100 + megabytes * n, descriptors=20 + descriptors * n)
        for n in range(60)
    ]
    assert Samples(uses).grows is grows


@pytest.mark.parametrize(
    ("megabytes", "descriptors", "grows"),
    [(100.0, 20.0, False), (101.0, 20.0, True), (100.0, 21.0, True)],
)
def test_so_is_what_passes_a_known_limit(
    megabytes: float, descriptors: float, grows: bool
) -> None:
    limit = Use(megabytes=100, descriptors=20)
    young = Use(megabytes=10, descriptors=2)
    most = Use(megabytes=megabytes, descriptors=descriptors)
    assert Samples([young, most, young], limit).grows is grows


@linux
@pytest.mark.prove
@pytest.mark.parametrize("options", [[], ["--compact-every", "5s"]])
def test_forty_seconds_under_faults(options: list[str]) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "soak", "0.6", "--seed", "1", *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    told = {line[:28].strip(): line[28:] for line in completed.stdout.splitlines()}
    assert int(told["requests"]) > 0
    assert int(told["faults"]) > 0
    assert told["lost rows"] == told["wrong reads"] == "0"
    assert told["stale beyond the bound"] == "0"
