from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Round
from django.utils import timezone


class AccountQuerySet(QuerySet["Account"]):
    def with_balance(self) -> AccountQuerySet:
        """Add ``balance``: what was paid into each account less what was paid out."""
        # SQLite adds decimals up as floating point numbers.
        return self.annotate(
            balance=Round(_total("paid_into") - _total("paid_from"), precision=2)
        )


class Account(models.Model):
    """Somewhere that money is paid into and out of."""

    name = models.CharField(max_length=40, unique=True)

    objects = AccountQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Transfer(models.Model):
    """An amount that leaves one account for another, so all balances add up to 0."""

    paid_from = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="payments", verbose_name="from"
    )
    paid_into = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="receipts", verbose_name="to"
    )
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    memo = models.CharField(max_length=80, blank=True)
    made_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ("-made_at", "-pk")
        constraints = (
            models.CheckConstraint(
                name="amount_is_positive",
                condition=Q(amount__gt=0),
                violation_error_message="The amount must be above zero.",
            ),
            models.CheckConstraint(
                name="accounts_differ",
                condition=~Q(paid_from=F("paid_into")),
                violation_error_message="The two accounts must differ.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.amount} from {self.paid_from} to {self.paid_into}"


def _total(account: str) -> Coalesce:
    transfers = (
        Transfer.objects.filter(**{account: OuterRef("pk")})
        .order_by()
        .values(account)
        .annotate(total=Sum("amount"))
        .values("total")
    )
    return Coalesce(Subquery(transfers), Decimal(0))
