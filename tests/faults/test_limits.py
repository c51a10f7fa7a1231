"""A backup survives full disks and low limits, and ``verify`` tells of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .catalogue import Fault
from .judged import suffer
from .limit_faults import limits

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(sys.platform != "linux", reason="sets limits of a process"),
]


@pytest.mark.parametrize("fault", limits.faults, ids=lambda fault: fault.name)
def test_limits(fault: Fault, tmp_path: Path, seed: int) -> None:
    suffer(fault, tmp_path, seed)
