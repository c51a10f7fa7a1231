from __future__ import annotations

from typing import Any

from django.db.models import Model


class BooksElsewhere:
    """Has another database for books and their authors."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return self._place(model)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return self._place(model)

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        return db == "other" if model_name in {"author", "book"} else None

    def _place(self, model: type[Model]) -> str | None:
        return "other" if model.__name__ in {"Author", "Book"} else None
