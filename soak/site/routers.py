from __future__ import annotations

from typing import Any

from django.db.models import Model

from .models import OtherRow


class OtherLedger:
    """Has the other ledger in the database ``other``."""

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return "other" if model is OtherRow else None
