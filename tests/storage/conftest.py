"""The servers, each started for the tests of one module and one kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from _pytest.mark import ParameterSet

from .kinds import KINDS, Kind, running


def each_kind(
    only: Iterable[str] = KINDS,
    *,
    but: Iterable[str] = (),
    **marks: pytest.MarkDecorator,
) -> list[ParameterSet]:
    """Return the names of kinds as parameters, with further ``marks`` of some."""
    return [
        pytest.param(
            name, marks=[*_marks(name), *([marks[name]] if name in marks else [])]
        )
        for name in KINDS
        if name in set(only) - set(but)
    ]


def _marks(name: str) -> Iterator[pytest.MarkDecorator]:
    if reason := KINDS[name].why_not():
        yield pytest.mark.skip(reason=f"unproven: {reason}")
    if name != "file":
        yield pytest.mark.prove


@pytest.fixture(scope="module", autouse=True)
def _no_proxies() -> Iterator[None]:
    """Nothing on loopback is behind a proxy of this machine's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        yield


@pytest.fixture(scope="module", params=each_kind())
def kind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kind]:
    """A running storage of each kind in turn."""
    directory = tmp_path_factory.mktemp(request.param)
    with running(request.param, directory / "storage") as started:
        yield started
