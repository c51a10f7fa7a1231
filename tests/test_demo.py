"""The demo, run as its readers run it."""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest

from django_litestream import binaries, private_files

from .project import PATIENCE, stop, wait_until

# It takes a tenth of that.
WHOLE_DEMO = 5 * PATIENCE
DEMO = Path(__file__).resolve().parent.parent / "demo"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="finds processes through /proc"
)


class Demo:
    """A copy of the demo that can be broken, with a temporary directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.code = directory / "demo"
        self.data = directory / "data"
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self._started: list[subprocess.Popen[bytes]] = []
        shutil.copytree(
            DEMO, self.code, ignore=shutil.ignore_patterns("data", "__pycache__")
        )

    def add_to_settings(self, line: str) -> None:
        with (self.code / "demo_site" / "settings.py").open("a") as settings:
            settings.write(f"{line}\n")

    def use_executable(self, script: str) -> None:
        """Give Django a shell script in Litestream's place."""
        path = self.code.parent / "not-quite-litestream"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        self.add_to_settings(f"LITESTREAM['bin_path'] = {str(path)!r}")

    def start(
        self, *words: str, stdout: int = subprocess.PIPE, **environment: str
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=self.code,
            env={
                **os.environ,
                "DEMO_DATA": str(self.data),
                "DJANGO_SETTINGS_MODULE": "demo_site.settings",
                "TMPDIR": str(self.temporary),
                **environment,
            },
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End what a failed test has left running."""
        for process in self._started:
            stop(process)
            if process.stdout:
                process.stdout.close()

    def run(self, *words: str) -> tuple[int, str]:
        """Return the exit status and what was printed."""
        process = self.start(*words)
        out, _ = process.communicate(timeout=WHOLE_DEMO)
        return process.returncode, out.decode()

    def replica(self) -> Path | None:
        """Where the running demo replicates to, once it does."""
        for ltx in self.temporary.glob("django-litestream-demo-*/data/replica/ltx"):
            return ltx.parent
        return None

    def processes(self) -> list[str]:
        """Return the command lines of the processes started from here."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.fsencode(self.temporary) in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text())
        return found

    def assert_nothing_is_left(self) -> None:
        assert self.processes() == []
        assert list(self.temporary.iterdir()) == []
        assert not self.data.exists()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    # A compaction may have a replica's place taken by its primary for a moment.
    made.add_to_settings("LITESTREAM['levels'] = [{'interval': '1h'}]")
    yield made
    made.stop()


def private_directory(replica: Path) -> Path:
    return private_files.directory(replica.with_name("db.sqlite3"))


def assert_the_backup_was_read(out: str) -> None:
    first_act, heading, out = out.partition("Its backup is read, now and as it was.")
    assert heading, first_act
    visits = re.findall(r"(?m)^ +[\d.]+ s  .* (replica|default)\b", out)
    # The replica may have the transfer as soon as the next page.
    visits.pop(2)
    assert visits == ["replica", "default", "replica", "replica"], out
    lines = [line.split() for line in out.splitlines()]
    assert ["ledger.transfer", "421", "421", "421"] in lines
    [checksums] = [set(line[4:]) for line in lines if "SHA-256" in line]
    assert len(checksums) == 1
    assert "468 rows, out of the backup" in out
    # The permissions and content types that `flush` makes anew.
    assert "40 rows, which Django makes anew" in out
    assert "All 468 rows were read out of the backup" in out


def test_every_row_comes_back(demo: Demo) -> None:
    process = demo.start("run_demo.py")
    wait_until(demo.replica)
    assert (replica := demo.replica())
    assert private_directory(replica).exists()
    out = process.communicate(timeout=WHOLE_DEMO)[0].decode()
    assert process.returncode == 0, out
    assert ["ledger.account", "6", "6"] in [line.split() for line in out.splitlines()]
    assert ["ledger.transfer", "420", "420"] in [
        line.split() for line in out.splitlines()
    ]
    assert "left: replica\n" in out
    assert "All 467 rows are back" in out
    assert_the_backup_was_read(out)
    assert "\033" not in out
    assert max(map(len, out.splitlines())) <= 88
    assert not private_directory(replica).exists()
    demo.assert_nothing_is_left()


def test_a_lost_row_is_a_failure(demo: Demo) -> None:
    # The demo's own restore gets an older state; that of verify, which has -o, does
    # not.
    demo.use_executable(
        f"""\
litestream={shlex.quote(str(binaries.find_executable()))}
case " $* " in
    " restore "*" -o "*) ;;
    " restore "*) shift; exec "$litestream" restore -txid 0000000000000003 "$@" ;;
esac
exec "$litestream" "$@" """
    )
    status, out = demo.run("run_demo.py")
    assert status == 1, out
    assert "good: the newest commit can be restored" in out, out
    assert "of 467 rows are missing." in out
    assert "rows are back" not in out
    demo.assert_nothing_is_left()


def test_a_replica_that_cannot_be_written_is_a_failure(demo: Demo) -> None:
    demo.add_to_settings(
        "LITESTREAM['dbs'][0]['replica']['path'] = Path('/dev/null/replica')"
    )
    status, out = demo.run("run_demo.py")
    assert status == 1
    assert "$ manage.py litestream replicate" in out
    assert "cannot be written to /dev/null/replica" in out
    assert "Traceback" not in out
    demo.assert_nothing_is_left()


def test_an_executable_that_is_not_litestream_is_a_failure(demo: Demo) -> None:
    demo.use_executable("echo no replication here >&2; exit 3")
    status, out = demo.run("run_demo.py")
    assert status == 1
    assert "no replication here" in out
    assert "exit status 3" in out
    assert "Traceback" not in out
    demo.assert_nothing_is_left()


def test_a_failing_step_shows_what_it_said_and_the_daemons_log(demo: Demo) -> None:
    (demo.code / "ledger" / "management" / "commands" / "record.py").write_text(
        "raise SystemExit('the disk is on fire')\n"
    )
    status, out = demo.run("run_demo.py")
    assert status == 1
    assert "$ manage.py record 300" in out
    assert "the disk is on fire" in out
    assert "The daemon's log ends:" in out
    assert "control socket listening" in out
    demo.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing(demo: Demo, number: signal.Signals) -> None:
    process = demo.start("run_demo.py")
    wait_until(demo.replica)
    assert (replica := demo.replica())
    process.send_signal(number)
    out = process.communicate(timeout=WHOLE_DEMO)[0].decode()
    assert process.returncode == 128 + number, out
    assert "Interrupted" in out
    assert "Traceback" not in out
    assert not private_directory(replica).exists()
    demo.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("environment", "coloured"), [({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)]
)
def test_colour_is_for_terminals(
    demo: Demo, environment: dict[str, str], coloured: bool
) -> None:
    demo.add_to_settings("raise SystemExit('stop here')")
    terminal, end = pty.openpty()
    process = demo.start("run_demo.py", stdout=end, **environment)
    os.close(end)
    printed = b""
    # Linux answers EIO once the other end is closed.
    with suppress(OSError):
        while read := os.read(terminal, 4096):
            printed += read
    os.close(terminal)
    assert process.wait(timeout=WHOLE_DEMO) == 1
    assert b"stop here" in printed
    assert (b"\033[31m" in printed) is coloured


def test_the_pages(demo: Demo) -> None:
    status, out = demo.run("manage.py", "test")
    assert status == 0, out
    assert "OK" in out


def test_migrations_match_the_models(demo: Demo) -> None:
    status, out = demo.run("manage.py", "makemigrations", "--check", "--dry-run")
    assert status == 0, out


class Browser:
    """Reads the pages, with cookies."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self.read_from: str | None = None

    def read(self, path: str = "", data: dict[str, str] | None = None) -> str:
        """Return the page that a request leads to; note what it was read from."""
        body = urlencode(data).encode() if data else None
        with self._opener.open(f"{self._address}{path}", body) as answer:
            self.read_from = answer.headers["Ledger-Read-From"]
            page: str = answer.read().decode()
        return page

    def record(self, memo: str) -> str:
        [token] = [one.value for one in self._cookies if one.name == "csrftoken"]
        transfer = {"paid_from": "1", "paid_into": "2", "amount": "9.95", "memo": memo}
        return self.read(data={**transfer, "csrfmiddlewaretoken": str(token)})


def assert_the_pages_read_the_backup(browser: Browser) -> None:
    def reads_the_replica(memo: str = "") -> bool:
        page = browser.read()
        assert memo in page
        return browser.read_from == "replica"

    wait_until(reads_the_replica)
    page = browser.read()
    assert "This page was read from the replica" in page
    assert re.search(r"TXID \d+, polled \d+\.\d s ago,\s+healthy", page), page
    before = datetime.now(UTC).isoformat()

    pages: list[str] = []

    def records_ahead_of_the_replica() -> bool:
        memo = f"Sale {len(pages)}"
        pages.append(browser.record(memo))
        assert f"<td>{memo}</td>" in pages[-1]
        return browser.read_from == "default"

    wait_until(records_ahead_of_the_replica)
    assert "The replica may not have what you have recorded yet" in pages[-1]
    wait_until(lambda: reads_the_replica(f"Sale {len(pages) - 1}"))

    past = browser.read(f"as-of/?{urlencode({'moment': before})}")
    assert "read only" in past
    assert "Record a transfer" not in past
    assert "Transfers <small>120</small>" in past
    assert "Sale" not in past
    assert "&amp;page=2" in past

    early = browser.read("look-back/?number=5&unit=hours")
    assert "That is before the backup begins." in early
    [oldest] = re.findall(r'"/(as-of/[^"]*)">The oldest moment there is', early)
    assert "Transfers <small>120</small>" in browser.read(oldest)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
    return number


def test_a_replicated_page_says_so(demo: Demo, port: int) -> None:
    for words in (["migrate"], ["seed"]):
        status, out = demo.run("manage.py", *words)
        assert status == 0, out
    serve = shlex.join(
        [sys.executable, "manage.py", "runserver", "--noreload", str(port)]
    )
    server = demo.start("manage.py", "litestream", "replicate", "-exec", serve)
    try:
        pages: list[str] = []

        def page_is_there() -> bool:
            address = f"http://127.0.0.1:{port}/"
            with suppress(OSError), urllib.request.urlopen(address) as answer:
                pages.append(answer.read().decode())
            return bool(pages)

        wait_until(page_is_there)
        assert "Backed up by Litestream" in pages[-1]
        assert str(demo.data / "replica") in pages[-1]
        assert_the_pages_read_the_backup(Browser(f"http://127.0.0.1:{port}/"))
        status, out = demo.run("manage.py", "where_reads_go")
        assert status == 0, out
        demo.add_to_settings("del MIDDLEWARE[0]")
        status, out = demo.run("manage.py", "where_reads_go")
        # Whether the write is missed depends on how soon the page is read.
        assert "litestream.W009" in out
        assert status == ("is missing from a page" in out), out
    finally:
        stop(server)
        shutil.rmtree(private_directory(demo.data / "replica"), ignore_errors=True)
    assert demo.processes() == []
