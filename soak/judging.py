"""Whether an answer is one that a client may be given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Wrong(NamedTuple):
    """What an answer may not be, and why this one is that."""

    kind: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``staleness`` is for how many seconds the oldest missing row had been there."""

    wrong: list[Wrong]
    staleness: float


def judge(question: Question, answer: Mapping[str, Any], truth: Truth) -> Verdict:
    """Judge the answer to a question about the ledger that ``truth`` is of."""
    truth.catch_up()
    wrong = [*_wrong_totals(answer), *_wrong_rows(answer, truth)]
    if not question.is_newest:
        return Verdict(wrong=wrong, staleness=0.0)
    newest = _newest(answer)
    wrong += _lacks(question, answer, newest, truth)
    return Verdict(wrong=wrong, staleness=_staleness(question, newest, truth))


def _newest(answer: Mapping[str, Any]) -> int:
    if "rows" in answer:
        return max((int(row[0]) for row in answer["rows"]), default=0)
    return int(answer["newest"])


def _wrong_totals(answer: Mapping[str, Any]) -> Iterator[Wrong]:
    if "count" in answer:
        newest = answer["newest"]
        expected = newest, newest * (newest + 1) // 2
        found = answer["count"], answer["sum"]
        if found != expected:
            yield Wrong(
                "gap", f"up to {newest} (rows, sum) are {found}, not {expected}"
            )


def _wrong_rows(answer: Mapping[str, Any], truth: Truth) -> Iterator[Wrong]:
    before: Row | None = None
    for number, payload, checksum in sorted(answer.get("rows", ())):
        row = Row(number, checksum)
        if before is not None and number != before.number + 1:
            yield Wrong("gap", f"after row {before.number} comes {number}")
        elif before is not None and following(before, payload) != row:
            yield Wrong("checksum", f"after row {before} comes {row}")
        if not truth.see(row):
            yield Wrong("never committed", str(row))
        before = row
    if before is not None and answer["tally"] < before.number:
        yield Wrong("tally", f"it says {answer['tally']}, and there is row {before}")


def _lacks(
    question: Question, answer: Mapping[str, Any], newest: int, truth: Truth
) -> Iterator[Wrong]:
    own = question.own
    if newest < own.number:
        yield Wrong("own write", f"row {own.number} is missing, {newest} is the newest")
    for number, _, checksum in answer.get("rows", ()):
        if number == own.number and checksum != own.checksum:
            yield Wrong("own write", f"row {own} is there as {checksum}")
    if answer.get("rows") and answer["tally"] > newest:
        yield Wrong("tally", f"it says {answer['tally']}, and {newest} is the newest")
    if answer["alias"] == question.ledger:
        committed = truth.committed_by(question.asked_at)
        if newest < committed:
            yield Wrong("primary", f"it lacks row {committed}: {newest} is the newest")


def _staleness(question: Question, newest: int, truth: Truth) -> float:
    committed_at = truth.committed_at(newest + 1)
    if committed_at is None:
        return 0.0
    return max(0.0, question.asked_at - committed_at)
