"""What the demo says of two states of its database."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from drill import report
from drill.contents import Contents
from drill.stage import StepFailed
from run_demo import Narrator


def contents(checksum: str, **rows: int) -> Contents:
    return Contents(rows=Counter(rows), checksum=checksum)


def test_the_column_that_differs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    primary, past = contents("aa", account=2), contents("bb", account=1)
    with pytest.raises(StepFailed, match=r"look_back: 1 of 2 rows are missing\."):
        Narrator(palette=report.COLOURED).compare(
            "primary", primary, replica=primary, look_back=past
        )
    out = capsys.readouterr().out
    assert re.search(r"\033\[31maccount +2 +2 +1\033", out), out


@pytest.mark.parametrize(
    ("after", "difference"),
    [
        (contents("aa", account=2, transfer=5), ""),
        (contents("bb", account=2, transfer=3), "2 of 7 rows are missing."),
        (contents("bb", account=3, transfer=4), "1 of 7 rows are missing."),
        (contents("bb", account=2), "5 of 7 rows are missing."),
        (
            contents("bb", account=2, transfer=5),
            "The rows are not the same.",
        ),
        (
            contents("bb", account=2, transfer=5, user=1),
            "The rows are not the same.",
        ),
    ],
)
def test_what_differs_is_said(after: Contents, difference: str) -> None:
    before = contents("aa", account=2, transfer=5)
    assert report.difference(before, after) == difference


def test_a_changed_field_changes_the_checksum() -> None:
    row = '[{{"model": "ledger.account", "pk": 1, "fields": {{"name": "{}"}}}}]'
    before, after = (Contents.of_dump(row.format(name)) for name in ("Till", "Tilt"))
    assert before.rows == after.rows == Counter({"ledger.account": 1})
    assert before != after
