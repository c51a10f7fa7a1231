"""What is done to a database reaches its backup, or ``verify`` says that it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import Fault
from .database_faults import files, operations
from .judged import suffer

pytestmark = pytest.mark.prove


@pytest.mark.parametrize("fault", files.faults, ids=lambda fault: fault.name)
def test_files(fault: Fault, tmp_path: Path, seed: int) -> None:
    suffer(fault, tmp_path, seed)


@pytest.mark.parametrize("fault", operations.faults, ids=lambda fault: fault.name)
def test_operations(fault: Fault, tmp_path: Path, seed: int) -> None:
    suffer(fault, tmp_path, seed)
