"""A damaged replica is told of, and a new one can be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import Fault
from .judged import suffer
from .replica_file_faults import replica_files

pytestmark = pytest.mark.prove


@pytest.mark.parametrize("fault", replica_files.faults, ids=lambda fault: fault.name)
def test_replica_files(fault: Fault, tmp_path: Path, seed: int) -> None:
    suffer(fault, tmp_path, seed)
