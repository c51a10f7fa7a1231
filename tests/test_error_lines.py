"""Why Litestream fails is told from what else comes on standard error."""

from __future__ import annotations

import pytest

from django_litestream.error_lines import ErrorLines

LINES = ("log\n", "Error: one\n", "two\n")


def taken(
    *, at_once: bool, lines: tuple[str, ...] = LINES
) -> tuple[ErrorLines, list[str]]:
    shown: list[str] = []
    errors = ErrorLines(shown.append, at_once=at_once)
    for line in lines:
        errors.take(line)
    return errors, shown


def test_a_reason_is_not_shown() -> None:
    errors, shown = taken(at_once=False)
    assert errors.reason(1) == "one\ntwo\n"
    assert shown == ["log\n"]


@pytest.mark.parametrize("at_once", [True, False])
def test_where_nothing_failed_all_is_shown_once(at_once: bool) -> None:
    errors, shown = taken(at_once=at_once)
    assert errors.reason(0) == ""
    assert shown == [*LINES]


def test_the_last_error_of_a_daemon_is_its_reason() -> None:
    errors, shown = taken(at_once=True, lines=(*LINES, "Error: three\n"))
    assert errors.reason(1) == "three\n"
    assert shown == [*LINES, "Error: three\n"]


def test_what_a_daemon_says_does_not_pile_up() -> None:
    errors, shown = taken(at_once=True, lines=("Error: one\n", *["two\n"] * 1000))
    assert len(shown) == 1001
    assert len(errors.reason(1).splitlines()) == 100
