"""Whether an answer is one that a client may be given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.proof.ledger import Row, following

from .truth import Truth


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked when, and what the client had written by then.

    ``is_newest`` says whether the answer must go on to the ledger's end.
    """

    ledger: str
    asked_at: float
    own: Row
    is_newest: bool = True


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``wrong``: what is wrong with an answer. ``staleness`` is in seconds."""

    wrong: list[str]
    staleness: float


def judge(question: Question, answer: Mapping[str, Any], truth: Truth) -> Verdict:
    """Judge the answer to a question about the ledger that ``truth`` is of."""
    truth.catch_up()
    newest = _newest(answer)
    wrong = [*_wrong_totals(answer), *_wrong_rows(answer, truth)]
    if not question.is_newest:
        return Verdict(wrong=wrong, staleness=0.0)
    wrong += _lacks(question, answer, newest, truth)
    return Verdict(wrong=wrong, staleness=_staleness(question, newest, truth))


def _newest(answer: Mapping[str, Any]) -> int:
    if "rows" in answer:
        return max((int(row[0]) for row in answer["rows"]), default=0)
    return int(answer["newest"] or 0)


def _wrong_totals(answer: Mapping[str, Any]) -> Iterator[str]:
    if "count" in answer:
        newest = answer["newest"]
        expected = newest, newest * (newest + 1) // 2
        found = answer["count"], answer["sum"]
        if found != expected:
            yield f"up to row {newest}, (rows, sum) are {found}, not {expected}"


def _wrong_rows(answer: Mapping[str, Any], truth: Truth) -> Iterator[str]:
    rows = sorted(answer.get("rows", ()))
    before: Row | None = None
    for number, payload, checksum in rows:
        row = Row(number, checksum)
        if before is not None and following(before, payload) != row:
            yield f"after row {before} comes {row}"
        if not truth.see(row):
            yield f"row {row} was never committed"
        before = row
    if before is not None and answer["tally"] < before.number:
        yield f"the tally says {answer['tally']}, and there is row {before}"


def _lacks(
    question: Question, answer: Mapping[str, Any], newest: int, truth: Truth
) -> Iterator[str]:
    own = question.own
    if newest < own.number:
        yield f"own row {own.number} is missing: the newest is {newest}"
    for number, _, checksum in answer.get("rows", ()):
        if number == own.number and checksum != own.checksum:
            yield f"own row {own} is there as {checksum}"
    if "tally" in answer and answer["tally"] != newest:
        yield f"the tally says {answer['tally']}, and the newest row is {newest}"
    if answer["alias"] == question.ledger:
        committed = truth.committed_by(question.asked_at)
        if newest < committed:
            yield f"the primary lacks row {committed}: its newest is {newest}"


def _staleness(question: Question, newest: int, truth: Truth) -> float:
    """Return for how long the oldest row that is missing had been committed."""
    committed_at = truth.committed_at(newest + 1)
    if committed_at is None:
        return 0.0
    return max(0.0, question.asked_at - committed_at)
