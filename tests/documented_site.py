"""The project that the documentation's code blocks are run in."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django_litestream import binaries

from .documents import Block
from .project import PATIENCE, Project

_BASE = """\
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "only for tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_litestream", "shop"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
ROOT_URLCONF = "project_urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"init_command": "PRAGMA journal_mode = WAL", "timeout": 30},
    }
}
"""

_SITE = """\
from base_settings import *
from django_litestream import get_vfs_databases

LITESTREAM = {litestream!r}
DATABASES |= get_vfs_databases()
"""

_MODELS = """\
from django.db import models


class Order(models.Model):
    paid = models.BooleanField(default=False)
"""

# Imports Django once, and has each module of settings, named by an argument, be those
# of a child. Its standard output names those that are not right.
_LOAD = """\
import django
from django.conf import settings
from django.core.management import call_command

django.setup()
call_command("check", fail_level="WARNING")
if getattr(settings, "LITESTREAM", {}).get("dbs"):
    call_command("litestream", "databases")
"""

_CODE = """\
import django

django.setup()
"""

_COMMAND = """\
from django.core.management import execute_from_command_line

execute_from_command_line({words!r})
"""

# Each job is a fork of a process that has imported Django, which takes most of the
# time of a command.
_RUN_ALL = """\
import json, os, signal, sys, tempfile, traceback

import django.contrib.contenttypes.apps
import django.core.management.commands.check
import django.core.management.commands.migrate
import django.db.backends.sqlite3.base
import django_litestream.apps
import django_litestream.management.commands.litestream

def run(code):
    try:
        exec(compile(code, "<block>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

outcomes = []
for job in json.load(sys.stdin):
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            signal.alarm(job["seconds"])
            os.environ["DJANGO_SETTINGS_MODULE"] = job["settings"]
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            status = run(job["code"])
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        outcomes.append([status, output.read().decode(errors="replace")])
json.dump(outcomes, sys.stdout)
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A block, or a command of one, as the Python code that it comes to."""

    block: Block
    code: str
    settings: str = "project_settings"
    command: str = ""

    def __str__(self) -> str:
        return f"{self.block} {self.command}".rstrip()


@dataclass
class DocumentedSite(Project):
    """A shop whose database has a ``file`` replica, read as the alias ``replica``."""

    def __post_init__(self) -> None:
        self.litestream = {
            "dbs": [self.entry("default", self.replica)],
            "vfs": {
                "replica": {"url": self.replica.as_uri(), "poll_interval": "200ms"}
            },
        }
        # That of the replicas that are generated.
        self.environ = {"AWS_BUCKET": "bucket"}
        super().__post_init__()
        (self.directory / "base_settings.py").write_text(_BASE)
        (self.directory / "shop").mkdir()
        (self.directory / "shop" / "__init__.py").touch()
        (self.directory / "shop" / "models.py").write_text(_MODELS)
        self.tmp.mkdir()

    @property
    def tmp(self) -> Path:
        """What stands for ``/tmp``."""
        return self.directory / "tmp"

    def write_settings(self) -> None:
        text = _SITE.format(litestream=self.litestream)
        (self.directory / "project_settings.py").write_text(text)

    def loading(self, block: Block) -> Job:
        """Check a project with these settings, and have Litestream read them."""
        name = f"settings_{block.page.replace('/', '_')}_{block.line}".replace(".", "_")
        text = f"from base_settings import *\n\n{self._placed(block.text)}"
        (self.directory / f"{name}.py").write_text(text)
        return Job(block=block, code=_LOAD, settings=name)

    def python(self, block: Block) -> Job:
        """Run Python code with the project set up."""
        return Job(block=block, code=_CODE + self._placed(block.text))

    def commands(self, block: Block) -> list[Job]:
        """Run the commands of a block, which must be those of ``manage.py``."""
        jobs = []
        for command in block.commands:
            if command == "set -e":
                continue
            python, *words = shlex.split(self._placed(command), comments=True)
            assert (python, words[0]) == ("python", "manage.py"), f"{block}: {command}"
            code = _COMMAND.format(words=words)
            jobs.append(Job(block=block, code=code, command=command))
        return jobs

    def failures(self, jobs: Sequence[Job]) -> list[str]:
        """Run all, and tell of those that ended with another status than 0."""
        done = subprocess.run(
            [sys.executable, "-c", _RUN_ALL],
            cwd=self.directory,
            env=self.environment(),
            input=json.dumps(
                [
                    {
                        "code": job.code,
                        "settings": job.settings,
                        "seconds": int(PATIENCE),
                    }
                    for job in jobs
                ],
            ),
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE * len(jobs),
            check=True,
        )
        outcomes = json.loads(done.stdout)
        return [
            f"{job}: exit status {status}\n{output}"
            for job, (status, output) in zip(jobs, outcomes, strict=True)
            if status
        ]

    def _placed(self, text: str) -> str:
        """Replace the paths of examples by ones that are the test's own."""
        for example, place in {
            "/tmp/": f"{self.tmp}/",
            "/usr/local/bin/litestream": str(binaries.find_executable()),
            "/usr/local/lib/litestream-vfs.so": str(binaries.find_extension()),
        }.items():
            text = text.replace(example, place)
        return text
