"""Reading rows through a connection to a replica."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from django.db.backends.sqlite3.base import SQLiteCursorWrapper

from .snapshot import Snapshots


class Reader(Protocol):
    """What a cursor needs of the ``DatabaseWrapper`` that made it."""

    connection: Any
    snapshots: Snapshots | None

    @property
    def may_read_anew(self) -> bool: ...
    def must_read_anew(self) -> bool: ...
    def prepare_to_run(self, query: str) -> None: ...
    def read_in_time[T](self, read: Callable[[], T]) -> T: ...
    def explained(self, error: sqlite3.Error) -> Exception: ...
    def left_reading(self) -> Exception: ...


class Cursor(SQLiteCursorWrapper):
    """A cursor that reads from the connection's newest snapshot."""

    reader: Reader
    _is_left = False

    def close(self) -> None:
        # What still reads cannot be closed.
        if not self._is_left:
            self._has_read_all()
            super().close()

    def execute(self, query: str, params: Any = None) -> Any:
        return self._run(super().execute, query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        return self._run(super().executemany, query, param_list)

    def fetchone(self) -> Any:
        row = self._read(super().fetchone)
        if row is None:
            self._has_read_all()
        return row

    def fetchmany(self, size: int | None = None) -> list[Any]:
        rows = self._read(partial(super().fetchmany, size or self.arraysize))
        if not rows:
            self._has_read_all()
        return rows

    def fetchall(self) -> list[Any]:
        rows = self._read(super().fetchall)
        self._has_read_all()
        return rows

    def __next__(self) -> Any:
        return self._read(super().__next__)

    def _run(self, execute: Callable[..., Any], query: str, params: Any) -> Any:
        read = partial(execute, query, params)
        try:
            result = self._run_once(query, read)
        except sqlite3.OperationalError:
            # Nothing was given to anybody yet.
            if not self.reader.may_read_anew:
                raise
            result = self._run_once(query, read)
        if self.reader.must_read_anew():
            result = self._run_once(query, read)
        if self.reader.snapshots is not None:
            self.reader.snapshots.readers.add(self)
        return result

    def _run_once(self, query: str, read: Callable[[], Any]) -> Any:
        self._has_read_all()
        self.reader.prepare_to_run(query)
        if self.reader.connection is None:
            raise sqlite3.ProgrammingError("The cursor's connection is closed.")
        if self.connection is not self.reader.connection:
            # The connection was replaced; a cursor can be moved to another one.
            sqlite3.Cursor.__init__(self, self.reader.connection)
        return self._read(read)

    def _read[T](self, read: Callable[[], T]) -> T:
        """Read from the storage, in bounded time where it may not answer."""
        try:
            return self.reader.read_in_time(read)
        except sqlite3.Error as error:
            raise self.reader.explained(error) from error
        except TimeoutError:
            self._is_left = True
            raise self.reader.left_reading() from None

    def _has_read_all(self) -> None:
        if self.reader.snapshots is not None:
            self.reader.snapshots.readers.discard(self)
