"""What Litestream's own error messages mean, and what to do about them.

Each was seen from the 0.5.17 binary. A message that is not here is passed on as
Litestream gave it.
"""

from __future__ import annotations

import re

# Litestream says the one where a replica is empty and where it lacks a moment.
NO_BACKUP = "no matching backup files available"
NOT_OF_THAT_MOMENT = "no matching backup files available of that moment"

_REMEDIES = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (
            rf"{NOT_OF_THAT_MOMENT}|timestamp does not exist",
            "`manage.py litestream ltx -level all DATABASE` lists what there is.",
        ),
        (
            rf"{NO_BACKUP}|no backups found",
            "There is no backup that can be restored there: run `manage.py litestream "
            "replicate`, or correct the database's replica in "
            "settings.LITESTREAM['dbs'].",
        ),
        (
            r"database not found in config",
            "Add the database to settings.LITESTREAM['dbs'], or name it as it stands "
            "there.",
        ),
        (
            r"output path already exists",
            "Restore elsewhere with -o PATH, or add -if-db-not-exists to leave an "
            "existing database alone.",
        ),
        (r"config file not found", "Correct the path given to -config."),
        (r"(^|: )yaml: |cannot unmarshal", "Correct the file given to -config."),
        (
            r"failed to connect to control socket",
            "Start the daemon with `manage.py litestream replicate`; if it runs, give "
            "both sides the same settings.LITESTREAM['socket']['path'].",
        ),
        (
            r"database not found: ",
            "The daemon does not replicate it: restart the daemon after a change of "
            "settings.LITESTREAM['dbs'].",
        ),
        (
            r"database not open: ",
            "Its replication was stopped: run `manage.py litestream start` on it.",
        ),
        (
            r"NoSuchBucket|bucket required|bucket doesn't exist|bucket not found",
            "Create the bucket, or correct the bucket's name.",
        ),
        (
            r"ContainerNotFound",
            "Create the container, or correct its name, which is the replica's "
            "'bucket'.",
        ),
        (
            r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|StatusCode: 403",
            "Correct the access key and the secret, and what they are allowed to do.",
        ),
        (
            r"DefaultAzureCredential: failed",
            "Set LITESTREAM_AZURE_ACCOUNT_KEY where Litestream runs.",
        ),
        (
            r"AuthenticationFailed|AuthorizationFailure|cannot create shared key "
            r"credential|RESPONSE 403",
            "Correct the name of the account and its key, and what that is allowed to "
            "do.",
        ),
        (
            r"could not find default credentials|error getting credentials using",
            "Name a file of Google's credentials in GOOGLE_APPLICATION_CREDENTIALS "
            "where Litestream runs.",
        ),
        (
            r"Authorization Violation",
            "Correct the user and the password, which in settings.LITESTREAM['dbs'] are "
            "the keys 'username' and 'password' and not within the URL.",
        ),
        (
            r"ssh: unable to authenticate|webdav: .* 401\b",
            "Correct the replica's user and password, or key.",
        ),
        (
            r"no EC2 IMDS role found|failed to refresh cached credentials",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where Litestream runs.",
        ),
        (
            r"unable to add custom RootCAs",
            "Unset AWS_CA_BUNDLE where Litestream runs and name the bundle in "
            "SSL_CERT_FILE.",
        ),
        (
            r"no space left on device",
            "Free some space, or point TMPDIR at a larger disk.",
        ),
        (
            r"permission denied|read-only file system|not a directory"
            r"|mkdir .*no such file or directory",
            "Let this user write there, or correct the path.",
        ),
        (
            r"connection refused|no such host|i/o timeout|network is unreachable"
            r"|no servers available",
            "See that the storage is up and its endpoint in "
            "settings.LITESTREAM['dbs'] is right.",
        ),
        (
            r"flag provided but not defined",
            "See `manage.py litestream SUBCOMMAND -h` for the flags there are.",
        ),
    )
)

# What stands in an error of Azure's client between the request, the answer's status
# and code, and its body, which says the same once more in XML.
_RULE = "-" * 80


def explain(message: str) -> str:
    """Return Litestream's ``message`` as one line, with what to do about it."""
    line = " ".join(" ".join(message.split(_RULE)[:2]).split())
    for pattern, remedy in _REMEDIES:
        if pattern.search(line):
            return f"{line.rstrip('.')}. {remedy}"
    return line


def explain_os_error(error: OSError) -> str:
    """Return as one line what the system refused, of which file, and what to do."""
    return (
        f"{error.filename} cannot be used: {error.strerror}. See that the path is right, "
        "and let this user read and write there."
    )
