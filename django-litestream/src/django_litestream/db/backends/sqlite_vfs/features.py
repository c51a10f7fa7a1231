from __future__ import annotations

from django.db.backends.sqlite3 import features


class DatabaseFeatures(features.DatabaseFeatures):
    # Django finds out by creating a table.
    supports_transactions = True
