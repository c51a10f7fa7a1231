"""The table of ``tests.project.Project``, as a model."""

from __future__ import annotations

from django.db import models


class Note(models.Model):
    number = models.IntegerField(primary_key=True)
    text = models.TextField()

    class Meta:
        db_table = "note"
        managed = False

    def __str__(self) -> str:
        return f"note {self.number}"
