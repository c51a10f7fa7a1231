"""What a database holds, as ``manage.py dumpdata`` tells it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Contents:
    """How many rows each model has, and a SHA-256 over every field of every row."""

    rows: Counter[str]
    checksum: str

    @classmethod
    def of_dump(cls, dump: str) -> Self:
        return cls(
            rows=Counter(row["model"] for row in json.loads(dump)),
            checksum=hashlib.sha256(dump.encode()).hexdigest(),
        )

    @property
    def total(self) -> int:
        return self.rows.total()
