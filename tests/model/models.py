"""The ledger as Django sees it, so that a router has something to route."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class LedgerRow(models.Model):
    number = models.IntegerField(primary_key=True)
    payload = models.TextField()
    checksum = models.TextField()

    objects: ClassVar[models.Manager[LedgerRow]] = models.Manager()

    class Meta:
        app_label = "model"
        db_table = "ledger"
        managed = False

    def __str__(self) -> str:
        return f"{self.number} {self.checksum}"
