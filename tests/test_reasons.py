"""What to do about a failure, told from the very words of the real binary."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from django_litestream import binaries, reasons
from django_litestream.reasons import explain

from .project import PATIENCE, replicates, stop, wait_until

NO_BACKUP = (
    "There is no backup that can be restored there: run `manage.py litestream "
    "replicate`, or correct the database's replica in settings.LITESTREAM['dbs']."
)
NOT_OF_THAT_MOMENT = (
    "`manage.py litestream ltx -level all DATABASE` lists what there is."
)
NOT_CONFIGURED = (
    "Add the database to settings.LITESTREAM['dbs'], or name it as it stands there."
)
IN_THE_WAY = (
    "Restore elsewhere with -o PATH, or add -if-db-not-exists to leave an existing "
    "database alone."
)
NO_CONFIGURATION = "Correct the path given to -config."
BAD_CONFIGURATION = "Correct the file given to -config."
NO_DAEMON = (
    "Start the daemon with `manage.py litestream replicate`; if it runs, give both "
    "sides the same settings.LITESTREAM['socket']['path']."
)
UNKNOWN_TO_THE_DAEMON = (
    "The daemon does not replicate it: restart the daemon after a change of "
    "settings.LITESTREAM['dbs']."
)
STOPPED = "Its replication was stopped: run `manage.py litestream start` on it."
NO_BUCKET = "Create the bucket, or correct the bucket's name."
NOT_ALLOWED = "Correct the access key and the secret, and what they are allowed to do."
NO_CONTAINER = (
    "Create the container, or correct its name, which is the replica's 'bucket'."
)
WRONG_ACCOUNT = (
    "Correct the name of the account and its key, and what that is allowed to do."
)
NO_ACCOUNT = "Set LITESTREAM_AZURE_ACCOUNT_KEY where Litestream runs."
NO_GOOGLE = (
    "Name a file of Google's credentials in GOOGLE_APPLICATION_CREDENTIALS where "
    "Litestream runs."
)
WRONG_NATS_LOGIN = (
    "Correct the user and the password, which in settings.LITESTREAM['dbs'] are the "
    "keys 'username' and 'password' and not within the URL."
)
WRONG_LOGIN = "Correct the replica's user and password, or key."
NO_KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where Litestream runs."
CA_BUNDLE = (
    "Unset AWS_CA_BUNDLE where Litestream runs and name the bundle in SSL_CERT_FILE."
)
FULL = "Free some space, or point TMPDIR at a larger disk."
NOT_WRITABLE = "Let this user write there, or correct the path."
NOT_REACHED = (
    "See that the storage is up and its endpoint in settings.LITESTREAM['dbs'] is "
    "right."
)
UNKNOWN_FLAG = "See `manage.py litestream SUBCOMMAND -h` for the flags there are."


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What is asked of Litestream, its answer, and what is to be done.

    In ``words`` and ``answer``, ``{here}`` is a directory that holds the database
    ``a.db``, the plain file ``plain``, a daemon's control socket ``socket`` and what
    ``configurations`` makes.
    """

    words: str
    answer: str
    remedy: str
    environ: dict[str, str] = field(default_factory=dict)


MISTAKES = {
    "no backup": Mistake(
        words="restore -o {here}/copy file://{here}/none",
        answer="no matching backup files available",
        remedy=NO_BACKUP,
    ),
    "no backup of any moment": Mistake(
        words="restore -timestamp 2001-01-01T00:00:00Z -o {here}/copy "
        "file://{here}/none",
        answer="no backups found",
        remedy=NO_BACKUP,
    ),
    "a moment before the oldest": Mistake(
        words="restore -timestamp 2001-01-01T00:00:00Z -o {here}/copy "
        "file://{here}/replica",
        answer="timestamp does not exist",
        remedy=NOT_OF_THAT_MOMENT,
    ),
    "a database that is not configured": Mistake(
        words="restore -config {here}/good.yml {here}/other.db",
        answer="database not found in config: {here}/other.db",
        remedy=NOT_CONFIGURED,
    ),
    "a database in the way": Mistake(
        words="restore -o {here}/plain file://{here}/none",
        answer="cannot restore, output path already exists and is not empty: "
        "{here}/plain. Use -force to overwrite",
        remedy=IN_THE_WAY,
    ),
    "no configuration": Mistake(
        words="databases -config {here}/none.yml",
        answer="config file not found: {here}/none.yml",
        remedy=NO_CONFIGURATION,
    ),
    "no configuration for reset": Mistake(
        words="reset -config {here}/none.yml {here}/a.db",
        answer="cannot read config: config file not found: {here}/none.yml",
        remedy=NO_CONFIGURATION,
    ),
    "a configuration that is no YAML": Mistake(
        words="databases -config {here}/no-yaml.yml",
        answer="yaml: line 1: did not find expected node content",
        remedy=BAD_CONFIGURATION,
    ),
    "a configuration of wrong types": Mistake(
        words="databases -config {here}/wrong-types.yml",
        answer="yaml: unmarshal errors: line 1: cannot unmarshal !!int `5` into "
        "[]*main.DBConfig",
        remedy=BAD_CONFIGURATION,
    ),
    "a configuration of wrong types for reset": Mistake(
        words="reset -config {here}/wrong-types.yml {here}/a.db",
        answer="cannot read config: yaml: unmarshal errors: line 1: cannot unmarshal "
        "!!int `5` into []*main.DBConfig",
        remedy=BAD_CONFIGURATION,
    ),
    "no daemon": Mistake(
        words="info -socket {here}/none",
        answer='failed to connect to control socket: Get "http://localhost/info": dial '
        "unix {here}/none: connect: no such file or directory",
        remedy=NO_DAEMON,
    ),
    "a socket that nobody listens on": Mistake(
        words="info -socket {here}/dead",
        answer='failed to connect to control socket: Get "http://localhost/info": dial '
        "unix {here}/dead: connect: connection refused",
        remedy=NO_DAEMON,
    ),
    "a database that the daemon does not know": Mistake(
        words="sync -socket {here}/socket {here}/other.db",
        answer="sync failed: database not found: {here}/other.db",
        remedy=UNKNOWN_TO_THE_DAEMON,
    ),
    "a database whose replication was stopped": Mistake(
        words="sync -socket {here}/socket {here}/stopped.db",
        answer="sync failed: database not open: {here}/stopped.db",
        remedy=STOPPED,
    ),
    "no bucket named": Mistake(
        words="ltx s3://", answer="bucket required for s3 replica", remedy=NO_BUCKET
    ),
    "a bundle of certificates": Mistake(
        words="ltx s3://bucket/path?endpoint=http://127.0.0.1:{port}&region=here",
        answer="s3: cannot load aws config: unable to add custom RootCAs HTTPClient, "
        "has no WithTransportOptions, *http.Client",
        remedy=CA_BUNDLE,
        environ={"AWS_CA_BUNDLE": "{here}/plain"},
    ),
    "a replica below a plain file": Mistake(
        words="replicate -once {here}/a.db file://{here}/plain/replica",
        answer="sync database {here}/a.db: check database behind replica: get replica "
        "position: open {here}/plain/replica/ltx/0: not a directory",
        remedy=NOT_WRITABLE,
    ),
    "storage that does not answer": Mistake(
        words="ltx sftp://user:password@127.0.0.1:{port}/path",
        answer="dial tcp 127.0.0.1:{port}: connect: connection refused",
        remedy=NOT_REACHED,
    ),
    "a flag that there is not": Mistake(
        words="databases -new",
        answer="flag provided but not defined: -new",
        remedy=UNKNOWN_FLAG,
    ),
}

# What files alone do not provoke: a server's answers and what the system refuses.
# Dots stand for what differs from time to time.
TOLD_BY_OTHERS = {
    reasons.NOT_OF_THAT_MOMENT: NOT_OF_THAT_MOMENT,
    "cannot calc restore plan: storage: bucket doesn't exist": NO_BUCKET,
    'nats: ... object store bucket "b" (bucket must be created beforehand): nats: '
    "bucket not found": NO_BUCKET,
    "abs: cannot create shared key credential: decode account key: illegal base64 data "
    "at input byte 3": WRONG_ACCOUNT,
    "abs: ... DefaultAzureCredential: failed to acquire a token. ...": NO_ACCOUNT,
    "dialing: google: could not find default credentials. See ...": NO_GOOGLE,
    "dialing: google: error getting credentials using GOOGLE_APPLICATION_CREDENTIALS "
    "environment variable: open /none.json: no such file or directory": NO_GOOGLE,
    "nats: ... failed to connect to NATS server: nats: Authorization Violation": (
        WRONG_NATS_LOGIN
    ),
    "nats: ... nats: no servers available for connection": NOT_REACHED,
    "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none "
    "password], no supported methods remain": WRONG_LOGIN,
    "webdav: cannot connect to server: Authorize /: 401": WRONG_LOGIN,
    "... StatusCode: 404 ... NoSuchBucket": NO_BUCKET,
    "... get identity: ... no EC2 IMDS role found ...": NO_KEYS,
    "... StatusCode: 403 ...": NOT_ALLOWED,
    "... api error SignatureDoesNotMatch ...": NOT_ALLOWED,
    "... api error InvalidAccessKeyId ...": NOT_ALLOWED,
    "... api error AccessDenied ...": NOT_ALLOWED,
    "exceeded maximum number of attempts, 10 ... connection refused": NOT_REACHED,
    "dial tcp: lookup nohost.invalid: no such host": NOT_REACHED,
    "dial tcp 192.0.2.1:22: i/o timeout": NOT_REACHED,
    "dial tcp 192.0.2.1:22: connect: network is unreachable": NOT_REACHED,
    "write /tmp/litestream-verify/restored.sqlite3.tmp: no space left on device": FULL,
    "write ltx file: mkdir /srv/replica: permission denied": NOT_WRITABLE,
    "write ltx file: mkdir /srv/replica: read-only file system": NOT_WRITABLE,
    "write ltx file: mkdir /proc/none: no such file or directory": NOT_WRITABLE,
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("mistakes")
    for name in ("a", "stopped"):
        with closing(sqlite3.connect(directory / f"{name}.db")) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE note (number INTEGER PRIMARY KEY)")
    (directory / "plain").write_text("a plain file")
    for name, text in configurations(directory).items():
        (directory / f"{name}.yml").write_text(text)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(directory / "dead"))
    litestream = binaries.find_executable()
    daemon = subprocess.Popen(
        [litestream, "replicate", "-config", directory / "good.yml"],
        stdout=subprocess.DEVNULL,
    )
    control = directory / "socket"
    try:
        wait_until(lambda: replicates(control))
        subprocess.run(
            [litestream, "stop", "-socket", control, directory / "stopped.db"],
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )
        yield directory
    finally:
        stop(daemon)


def configurations(directory: Path) -> dict[str, str]:
    return {
        "good": (
            f"socket: {{enabled: true, path: '{directory}/socket'}}\n"
            f"dbs: [{{path: '{directory}/stopped.db', "
            f"replica: {{type: file, path: '{directory}/replica'}}}}]"
        ),
        "no-yaml": "dbs: [",
        "wrong-types": "dbs: 5",
    }


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A port that nobody listens on and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_what_litestream_says_comes_with_what_to_do(
    mistake: Mistake, here: Path, port: int
) -> None:
    def filled_in(text: str) -> str:
        return text.format(here=here, port=port)

    said = what_litestream_says(
        filled_in(mistake.words).split(),
        {name: filled_in(value) for name, value in mistake.environ.items()},
    )
    assert explain(said) == f"{filled_in(mistake.answer)}. {mistake.remedy}"


def what_litestream_says(words: list[str], environ: dict[str, str]) -> str:
    """Run the binary to its failure and return what it gives for the reason."""
    completed = subprocess.run(
        [binaries.find_executable(), *words],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert completed.returncode == 1
    return re.split("^Error: ", completed.stderr, flags=re.MULTILINE)[-1]


@pytest.mark.parametrize(("said", "remedy"), TOLD_BY_OTHERS.items())
def test_what_servers_and_disks_say_comes_with_what_to_do(
    said: str, remedy: str
) -> None:
    assert explain(said) == f"{said.rstrip('.')}. {remedy}"


# By status and code, an error of Azure's as its client puts it together.
TOLD_BY_AZURE = {
    "404 The specified container does not exist.\nERROR CODE: ContainerNotFound": (
        NO_CONTAINER
    ),
    "403 Server failed to authenticate the request.\nERROR CODE: AuthenticationFailed": (
        WRONG_ACCOUNT
    ),
    "403 Server failed to authenticate the request.\nERROR CODE: AuthorizationFailure": (
        WRONG_ACCOUNT
    ),
    "403 Forbidden": WRONG_ACCOUNT,
}


@pytest.mark.parametrize(("answer", "remedy"), TOLD_BY_AZURE.items())
def test_what_azure_says_comes_without_its_xml(answer: str, remedy: str) -> None:
    request = "abs: cannot list blobs: GET https://a.blob.core.windows.net/b"
    rule = "-" * 80
    said = f"{request}\n{rule}\nRESPONSE {answer}\n{rule}\n<?xml ...?>\n{rule}\n"
    line = f"{request} RESPONSE {answer}".replace("\n", " ")
    assert explain(said) == f"{line.rstrip('.')}. {remedy}"


def test_no_remedy_is_without_its_mistake() -> None:
    remedies = {remedy for _, remedy in reasons._REMEDIES}
    seen = {mistake.remedy for mistake in MISTAKES.values()} | {
        *TOLD_BY_OTHERS.values(),
        *TOLD_BY_AZURE.values(),
    }
    assert seen == remedies


def test_what_is_not_known_is_passed_on_as_one_line() -> None:
    assert explain("the moon\n\tis  full.\n") == "the moon is full."


def test_no_reason_is_no_explanation() -> None:
    assert explain("") == ""


def test_a_configuration_that_is_no_yaml_is_known_from_reset_too(here: Path) -> None:
    words = ["reset", "-config", f"{here}/no-yaml.yml", f"{here}/a.db"]
    assert explain(what_litestream_says(words, {})).endswith(BAD_CONFIGURATION)


def test_a_restores_output_is_not_taken_for_its_replica(here: Path) -> None:
    words = ["restore", "-o", f"{here}/plain/copy", f"file://{here}/replica"]
    assert "replica's path" not in explain(what_litestream_says(words, {}))


def test_missing_keys_come_with_what_to_do(port: int) -> None:
    words = ["ltx", f"s3://bucket/path?endpoint=http://127.0.0.1:{port}&region=here"]
    said = what_litestream_says(words, {"AWS_EC2_METADATA_DISABLED": "true"})
    assert explain(said) != " ".join(said.split())
