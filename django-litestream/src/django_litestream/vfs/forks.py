"""What becomes of the VFS when the process forks.

Go's threads do not survive a fork. In the child a connection of the parent reads
pages that never change, and to close it waits for a thread that is not there: so
none is read from, and none is ever closed.
"""

from __future__ import annotations

import ctypes
import os
import weakref

from django.db.utils import OperationalError

from .connection import ReplicaConnection


class _Forks:
    def __init__(self) -> None:
        self.loaded = False
        self.inherited = False
        self._open: weakref.WeakSet[ReplicaConnection] = weakref.WeakSet()
        self._held: list[ReplicaConnection] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._hold,
                after_in_parent=self._let_go,
                after_in_child=self._inherit,
            )

    def watch(self, connection: ReplicaConnection) -> None:
        """Keep ``connection`` from being closed in a child of this process."""
        self._open.add(connection)

    def refuse_inherited(self) -> None:
        """Raise ``OperationalError`` in a child of a process that loaded the VFS."""
        if self.inherited:
            raise OperationalError(
                "Litestream's VFS was loaded before this process was forked, and its "
                "poller does not survive that: the replica would never change again. "
                "Touch no replica in the parent (gunicorn --preload, a Celery or "
                "multiprocessing pool), set LITESTREAM['vfs_eager'] to False, or start "
                "workers by spawn."
            )

    def _hold(self) -> None:
        # The connections of other threads lose their last reference in the child.
        self._held = list(self._open)

    def _let_go(self) -> None:
        self._held = []

    def _inherit(self) -> None:
        self.inherited = self.inherited or self.loaded
        for connection in self._held:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._held = []


forks = _Forks()
