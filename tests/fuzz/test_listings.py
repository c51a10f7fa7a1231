"""Whatever ``litestream ltx`` prints is a list of files, or a reason why there is none.

An executable that prints what it is told sits in Litestream's place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_litestream.databases import Database
from django_litestream.db.backends.sqlite_vfs.compactions import compactions
from django_litestream.errors import ListingFailed
from django_litestream.moments import oldest_moment
from django_litestream.replicas import Replica
from django_litestream.verify import Verifier
from django_litestream.verify_report import Verdict
from django_litestream.vfs.diagnosis import NO_BACKUP, diagnose
from django_litestream.vfs.listing import LTXFile, list_files

from ..project import PATIENCE
from .nonsense import json_values, one_line, scalars

_EXECUTABLE = """\
#!/bin/sh
cat "$0.out"
cat "$0.err" >&2
exit $(cat "$0.status")
"""

# As Litestream writes them, and as it does not.
txids = st.one_of(
    st.integers(min_value=1, max_value=2**63 - 1).map("{:016x}".format), scalars
)
times = st.one_of(
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    st.datetimes().map(datetime.isoformat),
    st.just("0001-01-01T00:00:00Z"),
    scalars,
)
files = st.fixed_dictionaries(
    {},
    optional={
        "min_txid": txids,
        "max_txid": txids,
        "timestamp": times,
        "level": scalars,
        "size": scalars,
    },
)
whole_files = st.fixed_dictionaries(
    {"min_txid": txids, "max_txid": txids, "timestamp": times}
)
listings = st.one_of(
    st.lists(st.one_of(whole_files, files, json_values), max_size=4).map(json.dumps),
    st.lists(whole_files, max_size=2).map(json.dumps),
    json_values.map(json.dumps),
    st.text(),
    st.sampled_from(["null", "", "[" * 100_000, "[]x", "[{]", '"' + "9" * 5_000]),
).map(lambda text: text.encode(errors="replace"))
printed = st.one_of(listings, st.binary(max_size=50))

WHOLE = {
    "min_txid": "0000000000000001",
    "max_txid": "00000000000000ff",
    "timestamp": "2026-01-31T12:00:00.123456789Z",
}
bad_listings = [
    b"null {}",
    b"{}",
    b"5",
    b"[5]",
    b"[[]]",
    b"[{}]",
    b"[" * 100_000,
    *(
        json.dumps([{**WHOLE, **wrong}]).encode()
        for wrong in (
            {"min_txid": 1},
            {"max_txid": None},
            {"max_txid": "-1"},
            {"max_txid": "1_0"},
            {"max_txid": "f" * 17},
            {"max_txid": "f" * 10_000},
            {"timestamp": 5},
            {"timestamp": "yesterday"},
            {"timestamp": ""},
        )
    ),
]


@dataclass(frozen=True)
class Printing:
    """An executable that prints what it is told."""

    path: Path

    def tell(self, out: bytes, err: bytes = b"", status: int = 0) -> None:
        for name, content in (
            ("out", out),
            ("err", err),
            ("status", str(status).encode()),
        ):
            self.path.with_name(f"{self.path.name}.{name}").write_bytes(content)


@pytest.fixture(scope="module")
def printing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Printing]:
    path = tmp_path_factory.mktemp("printing") / "litestream"
    path.write_text(_EXECUTABLE)
    path.chmod(0o700)
    with override_settings(LITESTREAM={"bin_path": str(path)}):
        yield Printing(path)


def is_sound(file: object) -> bool:
    return (
        isinstance(file, LTXFile)
        and 0 <= file.min_txid < 2**63
        and 0 <= file.max_txid < 2**63
        and file.written_at.tzinfo is not None
    )


def listed() -> list[LTXFile] | None:
    """Return what is listed of the replica, ``None`` where that fails."""
    try:
        return list_files("file:///srv/replica", PATIENCE)
    except ListingFailed as error:
        if str(error):
            one_line(error)
        return None


def of_replica(printing: Printing) -> None:
    """Look at the replica as those do who have it listed."""
    found = listed()
    if found is not None:
        assert all(map(is_sound, found))
    oldest = oldest_moment(Replica(alias="replica", url="file:///srv/replica"))
    assert oldest is None or oldest.tzinfo is not None
    if reason := diagnose("s3://bucket/path"):
        one_line(reason)
        assert (reason == NO_BACKUP) <= (found == [])


@hypothesis_settings(max_examples=60)
@given(printed)
@example(json.dumps([WHOLE]).encode())
@example(json.dumps([{**WHOLE, "timestamp": "0001-01-01T00:00:00+14:00"}]).encode())
@example(json.dumps([{**WHOLE, "timestamp": "9999-12-31T23:59:59Z"}]).encode())
@example(json.dumps([WHOLE, {**WHOLE, "timestamp": "2026-01-31T12:00:00"}]).encode())
def test_any_listing(printing: Printing, out: bytes) -> None:
    printing.tell(out)
    of_replica(printing)


@pytest.mark.parametrize("out", bad_listings, ids=range(len(bad_listings)))
def test_what_is_no_listing_has_failed(printing: Printing, out: bytes) -> None:
    printing.tell(out)
    of_replica(printing)
    assert listed() is None


@hypothesis_settings(max_examples=40)
@given(printed, st.binary(max_size=50), st.integers(min_value=1, max_value=255))
def test_any_failure(printing: Printing, out: bytes, err: bytes, status: int) -> None:
    printing.tell(out, err, status)
    of_replica(printing)
    assert listed() is None


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("verified") / "db.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE note (text)")
    return Database(path=path)


@hypothesis_settings(max_examples=60)
@given(printed, printed, st.booleans())
@example(b"[{}]", b"[]", True)
@example(b"[]", b"{}", True)
@example(json.dumps([{**WHOLE, "max_txid": "x"}]).encode(), b"null", True)
def test_a_verification_that_is_told_nonsense(
    database: Database, first: bytes, later: bytes, restores: bool
) -> None:
    told = [later, first]

    def ask(words: Sequence[str]) -> tuple[int, str, str]:
        if words[0] == "restore":
            return (0 if restores else 1), "", "no"
        out = told.pop() if len(told) > 1 else told[0]
        return 0, out.decode(errors="replace"), ""

    report = Verifier(ask=ask, socket=None, timeout=0.01).verify(database)
    # Nothing was ever restored.
    assert report.verdict in {Verdict.UNCHECKED, Verdict.BAD}
    one_line(report.reason)


ltx_names = st.one_of(
    st.builds(
        "{:016x}-{:016x}.ltx".format,
        st.integers(min_value=0, max_value=2**63 - 1),
        st.integers(min_value=0, max_value=2**63 - 1),
    ),
    st.text("0123456789abcdefx-_+. \n", min_size=1, max_size=40).map("{}.ltx".format),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="/\0"),
        min_size=1,
        max_size=20,
    ),
)


@hypothesis_settings(max_examples=60)
@given(st.lists(ltx_names, max_size=5))
@example(["1--5.ltx"])
@example([f"0-{'f' * 40}.ltx"])
@example(["0000000000000001-0000000000000_ff.ltx"])
def test_any_names_of_files(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    replica = tmp_path_factory.mktemp("names")
    level = replica / "ltx" / "1"
    level.mkdir(parents=True)
    for name in {*names} - {".", ".."}:
        (level / name).touch()
    assert 0 <= compactions(replica.as_uri()).newest < 2**63


def test_a_listing_of_litestreams_own(printing: Printing, database: Database) -> None:
    files: list[Any] = [WHOLE, {**WHOLE, "min_txid": "00000000000000a0"}]
    printing.tell(json.dumps(files).encode())
    found = listed()
    assert found is not None
    assert [(file.min_txid, file.max_txid) for file in found] == [(1, 255), (160, 255)]
    assert found[0].written_at == datetime.fromisoformat("2026-01-31T12:00:00.123456Z")
