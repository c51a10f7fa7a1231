"""Litestream's transaction IDs: numbers of 63 bits, written in 16 hexadecimal digits."""

from __future__ import annotations

import re

GREATEST_TXID = 2**63 - 1

_WRITTEN = re.compile(r"[0-9a-f]{16}")


def parse_txid(text: str) -> int:
    """Return the TXID that ``text`` is; raises ``ValueError`` for anything else."""
    if _WRITTEN.fullmatch(text) and (txid := int(text, 16)) <= GREATEST_TXID:
        return txid
    raise ValueError(f"{text[:32]!r} is no TXID.")
