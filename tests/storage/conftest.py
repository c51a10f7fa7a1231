"""The servers, each started for the tests of one module and one kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .kinds import KINDS, Kind, running

EACH_KIND = [
    pytest.param(
        name,
        marks=[
            pytest.mark.skipif(bool(kind.why_not()), reason=kind.why_not()),
            *([] if name == "file" else [pytest.mark.prove]),
        ],
    )
    for name, kind in KINDS.items()
]


@pytest.fixture(scope="module", autouse=True)
def _no_proxies() -> Iterator[None]:
    """Nothing on loopback is behind a proxy of this machine's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        yield


@pytest.fixture(scope="module", params=EACH_KIND)
def kind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kind]:
    """A running storage of each kind in turn."""
    directory = tmp_path_factory.mktemp(request.param)
    with running(request.param, directory / "storage") as started:
        yield started
