from __future__ import annotations

from datetime import timedelta
from itertools import islice
from random import Random
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from ... import examples
from ...models import Account, Transfer

_TRANSFERS = 120


class Command(BaseCommand):
    help = "Fills an empty ledger, and adds the administrator demo, password demo."

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            if not Account.objects.exists():
                _fill()
        self.stdout.write(
            f"{Account.objects.count()} accounts, {Transfer.objects.count()} transfers"
        )


def _fill() -> None:
    get_user_model().objects.create_superuser("demo", password="demo")
    accounts = {name: Account.objects.create(name=name) for name in examples.ACCOUNTS}
    random = Random("seed")
    made = list(islice(examples.transfers(accounts, random), _TRANSFERS))
    moments = examples.moments(
        random, until=timezone.now(), apart=timedelta(minutes=40)
    )
    for transfer, moment in zip(made, moments, strict=False):
        transfer.made_at = moment
    # The newest got its moment first and is saved last.
    Transfer.objects.bulk_create(reversed(made))
