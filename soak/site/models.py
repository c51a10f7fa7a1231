"""The tables of ``tests.proof.ledger``."""

from __future__ import annotations

from django.db import models


class Row(models.Model):
    number = models.IntegerField(primary_key=True)
    payload = models.TextField()
    checksum = models.TextField()

    class Meta:
        managed = False
        db_table = "ledger"


class OtherRow(Row):
    """A row of the ledger in the database ``other``."""

    class Meta:
        proxy = True


class Tally(models.Model):
    rows = models.IntegerField(primary_key=True)

    class Meta:
        managed = False
        db_table = "tally"
