from __future__ import annotations

import os
import secrets

import pytest

RUNS = int(os.environ.get("DJANGO_LITESTREAM_PROVE_RUNS", "1"))
SEED = os.environ.get("DJANGO_LITESTREAM_PROVE_SEED")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        runs = 1 if SEED else RUNS
        metafunc.parametrize("seed", range(runs), indirect=True, ids="run{}".format)


@pytest.fixture
def seed() -> int:
    """What decides the moments of a run; it is printed, so that it can be repeated."""
    drawn = int(SEED) if SEED else secrets.randbelow(1 << 32)
    print(f"DJANGO_LITESTREAM_PROVE_SEED={drawn}")
    return drawn
