"""Values that nobody should give, and what must become of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

# What a user can read, and a log keep.
LONGEST_MESSAGE = 5_000

# Text of every kind: control characters, line breaks, NUL, half of a surrogate pair.
texts = st.text(st.characters(exclude_categories=()), max_size=20)

# What JSON can hold, and what Python's parser takes beside it.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 2**63, 2**64, -(2**63), 10**400]),
    st.floats(),
    texts,
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=8,
)


def one_line(error: Any) -> str:
    """Return an error's message, which must be a line that can be read."""
    message = str(error)
    assert message.strip(), f"{type(error).__name__} without a message"
    assert len(message.splitlines()) == 1, message
    assert len(message) <= LONGEST_MESSAGE, f"{len(message)} characters"
    return message


def refusal(
    error: type[Exception] | tuple[type[Exception], ...], call: Callable[[], object]
) -> str:
    """Return the line that ``call`` refuses with, empty where it does not."""
    try:
        call()
    except error as refused:
        return one_line(refused)
    return ""
