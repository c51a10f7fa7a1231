from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import TestCase, TransactionTestCase, override_settings
from django.urls import reverse
from django.utils import timezone

from .models import Account, Transfer

NOWHERE = settings.DATA / "nowhere"


def with_replica(path: Path) -> override_settings:
    """Have the replica at ``path``, whatever the demo has kept there."""
    entry = {"path": "default", "replica": {"type": "file", "path": path}}
    return override_settings(LITESTREAM={**settings.LITESTREAM, "dbs": [entry]})


class LedgerPageTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.till = Account.objects.create(name="Till")
        cls.bank = Account.objects.create(name="Bank")
        Transfer.objects.create(
            paid_from=cls.till,
            paid_into=cls.bank,
            amount=Decimal("120.50"),
            memo="Takings",
        )

    def record(self, **changes: object) -> HttpResponse:
        fields = {
            "paid_from": self.bank.pk,
            "paid_into": self.till.pk,
            "amount": "20.25",
            "memo": "Change",
        }
        return self.client.post(reverse("ledger"), {**fields, **changes}, follow=True)

    def test_it_lists_transfers_and_balances(self) -> None:
        response = self.client.get(reverse("ledger"))
        self.assertContains(response, "Takings")
        self.assertContains(response, "Till <data>-120.50</data>")
        self.assertContains(response, "Bank <data>120.50</data>")

    def test_the_form_adds_a_row(self) -> None:
        response = self.record()
        self.assertRedirects(response, reverse("ledger"))
        self.assertContains(response, "Recorded: 20.25 from Bank to Till.")
        self.assertContains(response, "Bank <data>100.25</data>")
        assert Transfer.objects.count() == 2

    def test_the_form_refuses_what_is_no_transfer(self) -> None:
        for changes, reason in (
            ({"amount": "0"}, "The amount must be above zero."),
            ({"paid_into": self.bank.pk}, "The two accounts must differ."),
        ):
            with self.subTest(reason):
                self.assertContains(self.record(**changes), reason)
        assert Transfer.objects.count() == 1

    def test_older_transfers_are_on_further_pages(self) -> None:
        now = timezone.now()
        Transfer.objects.bulk_create(
            Transfer(
                paid_from=self.bank,
                paid_into=self.till,
                amount=1,
                made_at=now + timedelta(minutes=minute),
            )
            for minute in range(12)
        )
        self.assertNotContains(self.client.get(reverse("ledger")), "Takings")
        self.assertContains(self.client.get(reverse("ledger"), {"page": 2}), "Takings")

    def test_it_says_that_nothing_backs_the_database_up(self) -> None:
        response = self.client.get(reverse("ledger"))
        self.assertContains(response, "Not being backed up.")
        self.assertContains(response, "manage.py litestream replicate")


class ReadTests(TestCase):
    # Here the replica is a mirror of the primary, as the test runner has it.

    def test_a_page_says_which_database_it_was_read_from(self) -> None:
        for path, problem in (
            (NOWHERE, "There is no replica yet."),
            (settings.DATA, "The replica is a mirror of it."),
        ):
            with self.subTest(problem), with_replica(path):
                response = self.client.get(reverse("ledger"))
                self.assertContains(response, "This page was read from the primary.")
                self.assertContains(response, problem)
                self.assertNotContains(response, "Look back")
                assert response.headers["Ledger-Read-From"] == "default"

    def test_what_is_no_moment_is_an_error(self) -> None:
        for address, query, reason in (
            (
                "look_back",
                {"number": "0", "unit": "hours"},
                "greater than or equal to 1",
            ),
            ("as_of", {"moment": "yesterday"}, "Invalid isoformat string"),
            ("as_of", {"moment": "2999-12-31"}, "has not come yet"),
        ):
            with self.subTest(reason):
                response = self.client.get(reverse(address), query, follow=True)
                self.assertRedirects(response, reverse("ledger"))
                self.assertContains(response, reason)

    def test_a_time_ago_becomes_a_moment(self) -> None:
        query = {"number": "2", "unit": "hours"}
        response = self.client.get(reverse("look_back"), query)
        [moment] = parse_qs(urlsplit(response.url).query)["moment"]
        ago = timezone.now() - datetime.fromisoformat(moment)
        assert timedelta(hours=2) <= ago < timedelta(hours=2, minutes=1)


class VerifyTests(TransactionTestCase):
    # A TestCase would hold the lock that the verification needs.

    @with_replica(NOWHERE)
    def test_a_backup_that_is_not_there_is_an_error(self) -> None:
        response = self.client.post(reverse("verify"), follow=True)
        self.assertContains(response, 'class="message error"')
        self.assertContains(response, "There is no backup")


class CommandTests(TestCase):
    def test_seed_fills_the_ledger_once(self) -> None:
        for _ in range(2):
            call_command("seed", stdout=StringIO())
            assert Account.objects.count() == 6
            assert Transfer.objects.count() == 120
        assert self.client.login(username="demo", password="demo")
        self.assertContains(
            self.client.get(reverse("admin:ledger_transfer_changelist")),
            "120 transfers",
        )

    def test_the_books_balance(self) -> None:
        call_command("seed", stdout=StringIO())
        call_command("record", "30", stdout=StringIO())
        accounts = Account.objects.with_balance()
        assert sum(account.balance for account in accounts) == 0
        assert Transfer.objects.count() == 150

    def test_record_needs_accounts(self) -> None:
        with self.assertRaisesMessage(CommandError, "run `manage.py seed` first"):
            call_command("record", "1")

    def test_where_reads_go_needs_accounts(self) -> None:
        with self.assertRaisesMessage(CommandError, "run `manage.py seed` first"):
            call_command("where_reads_go")

    def test_look_back_needs_a_moment(self) -> None:
        with self.assertRaisesMessage(CommandError, "'soon' is no moment"):
            call_command("look_back", "soon")
