"""A PostgreSQL of a test's own: its files, and its process."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.processes import service


@dataclass(frozen=True, slots=True)
class PostgresCluster:
    """The files of a PostgreSQL, which a test starts and stops as it likes."""

    folder: Path
    programs: Path
    user: str | None

    @property
    def data(self) -> Path:
        """Where its configuration is."""
        return self.folder / "data"

    def give(self, path: Path) -> Path:
        """Copy a file to where the server can read it, as its own; return the copy."""
        copy = self.data / path.name
        shutil.copy(path, copy)
        copy.chmod(0o600)
        if self.user is not None:
            shutil.chown(copy, self.user, self.user)
        return copy

    @contextmanager
    def running(self, *settings: str) -> Iterator["subprocess.Popen[str]"]:
        """Run it until the end of the block, which ends every connection (SIGINT)."""
        options = [part for setting in settings for part in ("-c", setting)]
        command = (
            *(self.programs / "postgres", "-D", self.data, "-k", self.folder),
            *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off"),
            *options,
        )
        ready = "ready to accept connections"
        with service(command, ready=ready, user=self.user, stop=signal.SIGINT) as process:
            yield process


@contextmanager
def own_postgres() -> Iterator[PostgresCluster]:
    """Make the files of a PostgreSQL that trusts everybody on its Unix socket."""
    # Not below pytest's folders: those let no other user in.
    folder = Path(tempfile.mkdtemp(prefix="cardd-postgres-"))
    user = "postgres" if os.geteuid() == 0 else None
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if user else []
    programs = max(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    try:
        if user is not None:
            shutil.chown(folder, user, user)
        initdb = ["--auth=trust", "--no-sync", "--username=postgres", "--encoding=UTF8"]
        subprocess.run(
            [*as_user, programs / "initdb", *initdb, "--locale=C", "-D", folder / "data"],
            check=True,
            capture_output=True,
            timeout=50,
            cwd="/",
        )
        yield PostgresCluster(folder, programs, user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
