"""Litestream's log, which it writes to where its answers go.

Before the JSON of an answer comes the warning of an SFTP host that is not verified, for
example, or whatever ``settings.LITESTREAM['logging']`` asks for.
"""

from __future__ import annotations

import re

# In the two forms that ``logging`` can ask for. No answer has it there: JSON is indented.
_BEGINNING = re.compile(r'time=|\{"time":')


def is_of_log(line: str) -> bool:
    """Whether a ``line`` of JSON output is of the log and not of the answer."""
    return _BEGINNING.match(line) is not None
