"""Labelled, because the process of the tests does not install the app."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50)
    born = models.DateField()

    objects: ClassVar[models.Manager[Author]] = models.Manager()

    class Meta:
        app_label = "replica_app"

    def __str__(self) -> str:
        return self.name


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    title = models.CharField(max_length=50)
    pages = models.IntegerField()
    price = models.DecimalField(max_digits=6, decimal_places=2)
    published = models.DateTimeField()
    details = models.JSONField(default=dict)

    objects: ClassVar[models.Manager[Book]] = models.Manager()

    class Meta:
        app_label = "replica_app"

    def __str__(self) -> str:
        return self.title


class Note(models.Model):
    """A row that says which database it was written to, and when."""

    source = models.CharField(max_length=20)
    written_at = models.FloatField()

    objects: ClassVar[models.Manager[Note]] = models.Manager()

    class Meta:
        app_label = "replica_app"

    def __str__(self) -> str:
        return f"{self.source} {self.pk}"
