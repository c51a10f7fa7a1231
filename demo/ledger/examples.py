"""Rows that look like a small bookshop's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from .models import Account, Transfer

ACCOUNTS = ("Bank", "Customers", "Rent", "Staff", "Suppliers", "Till")

# Paid from, paid into, least and most in cents, memos.
_KINDS = (
    ("Customers", "Till", 350, 6_500, ("Paperbacks", "A hardback", "Maps", "Cards")),
    ("Customers", "Bank", 1_200, 9_900, ("Online order", "School order")),
    ("Till", "Bank", 5_000, 40_000, ("Takings paid in",)),
    ("Bank", "Suppliers", 4_000, 25_000, ("New titles", "Reprints", "Wrapping paper")),
    ("Bank", "Staff", 10_000, 50_000, ("Wages", "Saturday help")),
    ("Bank", "Rent", 30_000, 30_000, ("The shop", "The storeroom")),
)
_WEIGHTS = (40, 20, 6, 5, 2, 1)


def transfers(accounts: Mapping[str, Account], random: Random) -> Iterator[Transfer]:
    """Make up transfers without end; none is saved."""
    while True:
        [(source, target, least, most, memos)] = random.choices(_KINDS, _WEIGHTS)
        yield Transfer(
            paid_from=accounts[source],
            paid_into=accounts[target],
            amount=Decimal(random.randint(least, most)).scaleb(-2),
            memo=random.choice(memos),
        )


def moments(random: Random, *, until: datetime, apart: timedelta) -> Iterator[datetime]:
    """Go back in time from ``until`` in steps of about ``apart``."""
    while True:
        until -= apart * random.uniform(0.2, 1.8)
        yield until
