"""A network namespace without a route, and the kernel's count of what tried to leave.

``run`` starts this file as a program inside of one. There is the loopback device and no
other: what goes to any other address fails at once for want of a route, and is counted.
What goes to this machine itself is counted as well, as a resolver may listen there.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# From TEST-NET-1 and the documentation prefix of IPv6 (RFC 5737, RFC 3849).
_ADDRESS, _ADDRESS_V6 = "192.0.2.1", "2001:db8::1"
_QUERY = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01"

# Names are asked for over UDP, whatever this machine does: a resolver behind a Unix
# socket would look them up outside of the namespace, where nobody counts.
_RESOLVER = {
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/resolv.conf": f"nameserver {_ADDRESS}\noptions timeout:1 attempts:1\n",
}

# All processes end with the first one, and that one with `unshare`.
_NAMESPACES = ("--net", "--pid", "--fork", "--kill-child", "--mount-proc")

_TELLING = ("ActiveOpens", "OutDatagrams", "OutNoRoutes", "OutRequests", ".tx_packets")

Counters = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a script came to, and what it sent or tried to send (names of counters).

    ``attempts`` maps each kind of attempt that was made on purpose after it, in the
    same namespace, to what that raised.
    """

    returncode: int
    sent: Counters
    attempts: Mapping[str, Counters]


def command() -> Sequence[str]:
    """Return the words that run a program in a namespace, none where none can be made."""
    if not all(map(shutil.which, ("unshare", "ip", "mount"))):
        return []
    for user in ([], ["--user", "--map-root-user"]):
        words = ["unshare", *user, *_NAMESPACES]
        tried = [*words, "ip", "link", "set", "lo", "up"]
        if subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return words
    return []


def run(
    script: Sequence[str | Path], *, cwd: Path, environ: Mapping[str, str], log: Path
) -> Outcome:
    """Run a command without a way out; what it prints goes to ``log``."""
    with log.open("wb") as out:
        completed = subprocess.run(
            [*command(), sys.executable, __file__, *script],
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=out,
            timeout=600,
        )
    assert completed.returncode == 0, log.read_text(errors="replace")
    return Outcome(**json.loads(completed.stdout))


def counters() -> Counters:
    """Return what was sent from this namespace or found no route, by the counter."""
    net = Path("/proc/net")
    found: Counters = {}
    for table in ("snmp", "netstat"):
        lines = [line.split() for line in (net / table).read_text().splitlines()]
        for (protocol, *names), (_, *numbers) in zip(
            lines[::2], lines[1::2], strict=True
        ):
            prefix = protocol.rstrip(":")
            pairs = zip(names, numbers, strict=True)
            found |= {f"{prefix}{name}": int(number) for name, number in pairs}
    with suppress(FileNotFoundError):
        lines = [line.split() for line in (net / "snmp6").read_text().splitlines()]
        found |= {name: int(number) for name, number in lines}
    for line in (net / "dev").read_text().splitlines()[2:]:
        device, _, columns = line.partition(":")
        found[f"{device.strip()}.tx_packets"] = int(columns.split()[9])
    return {name: number for name, number in found.items() if name.endswith(_TELLING)}


def risen(before: Counters, after: Counters) -> Counters:
    """Return the counters that have risen, and by how much."""
    return {
        name: number - before.get(name, 0)
        for name, number in after.items()
        if number > before.get(name, 0)
    }


def _connect(family: socket.AddressFamily, address: str) -> None:
    with socket.socket(family) as connection:
        connection.settimeout(5)
        connection.connect((address, 443))


def _ask_for_a_name() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(_QUERY, (_ADDRESS, 53))


def _attempts() -> dict[str, Callable[[], Any]]:
    attempts: dict[str, Callable[[], Any]] = {
        "a TCP connection": lambda: _connect(socket.AF_INET, _ADDRESS),
        "a TCP connection to this machine": lambda: _connect(
            socket.AF_INET, "127.0.0.1"
        ),
        "a DNS query over UDP": _ask_for_a_name,
        "the resolver": lambda: socket.getaddrinfo("example.com", 443),
    }
    if Path("/proc/net/if_inet6").exists():
        attempts["a TCP connection over IPv6"] = lambda: _connect(
            socket.AF_INET6, _ADDRESS_V6
        )
    return attempts


def _set_resolver() -> None:
    with tempfile.TemporaryDirectory() as directory:
        for path, text in _RESOLVER.items():
            file = Path(directory, Path(path).name)
            file.write_text(text)
            # Where the C library reads no such file, there is none to replace.
            if Path(path).exists():
                subprocess.run(["mount", "--bind", file, path], check=True)


def main(script: Sequence[str]) -> None:
    # Without it the kernel counts nothing of IPv6.
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    _set_resolver()
    before = counters()
    completed = subprocess.run(script, stdout=sys.stderr, check=False)
    sent = risen(before, counters())
    attempts = {}
    for kind, attempt in _attempts().items():
        before = counters()
        with suppress(OSError):
            attempt()
        attempts[kind] = risen(before, counters())
    outcome = Outcome(returncode=completed.returncode, sent=sent, attempts=attempts)
    print(json.dumps(vars(outcome)))


if __name__ == "__main__":
    main(sys.argv[1:])
