"""A backup survives a disk that fails, and ``verify`` tells what it has lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .catalogue import Fault
from .disk_faults import disks
from .judged import suffer

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(sys.platform != "linux", reason="has Linux fail a disk"),
]


@pytest.mark.parametrize("fault", disks.faults, ids=lambda fault: fault.name)
def test_disks(fault: Fault, tmp_path: Path, seed: int) -> None:
    suffer(fault, tmp_path, seed)
