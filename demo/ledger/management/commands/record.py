from __future__ import annotations

import time
from itertools import islice
from random import Random
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ... import examples
from ...models import Account


class Command(BaseCommand):
    help = "Records made-up transfers, each in a transaction of its own."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("transfers", type=int, help="how many")
        parser.add_argument(
            "--seconds", type=float, default=0, help="the time to spread them over"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        accounts = Account.objects.in_bulk(examples.ACCOUNTS, field_name="name")
        if len(accounts) < len(examples.ACCOUNTS):
            raise CommandError("There are no accounts: run `manage.py seed` first.")
        count, seconds = options["transfers"], options["seconds"]
        for transfer in islice(examples.transfers(accounts, Random()), count):
            transfer.save()
            time.sleep(seconds / count)
        self.stdout.write(f"{count} transfers, one commit each")
