"""Nothing is lost by the end of processes and by networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import Fault
from .judged import suffer
from .process_faults import processes, storages

pytestmark = pytest.mark.prove


@pytest.mark.parametrize("fault", processes.faults, ids=lambda fault: fault.name)
def test_processes(fault: Fault, tmp_path: Path, seed: int) -> None:
    suffer(fault, tmp_path, seed)


@pytest.mark.parametrize("fault", storages.faults, ids=lambda fault: fault.name)
def test_storages(fault: Fault, tmp_path: Path, seed: int) -> None:
    suffer(fault, tmp_path, seed)
