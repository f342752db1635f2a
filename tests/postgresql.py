"""A real PostgreSQL server for tests: Debian's, in a folder and on a port of its own, gone with the process.

Each test gets a database of its own, copied from one that the revisions have been run in once.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

import psutil
import sqlalchemy as sa

PASSWORD = "Zw9-plain-word"
"""Of the tests' own servers, which are gone with them."""
_QUIET = ("fsync=off", "full_page_writes=off", "max_wal_size=64MB", "shared_buffers=16MB")
_ENGINES = 30
"""Each keeps a few connections, and a server has a hundred."""
_WAIT = 60.0


@cache
def programs() -> Path | None:
    """The folder of the server's programs; Debian keeps them out of the search path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


class Server:
    """One server; `url` names a database of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        _run("initdb", "--no-sync", "--username=ffe", "--auth=scram-sha-256", f"--pwfile={_password(folder)}",
             "--encoding=UTF8", "--locale=C.UTF-8", f"--pgdata={folder / 'data'}")  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers. It ends with the thread that calls this."""
        settings = [word for one in _QUIET for word in ("-c", one)]
        command = [_program("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-h", "127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-k", "", *settings],
                stdout=log, stderr=log, user=_user(), preexec_fn=_end_with_parent, cwd="/",
            )  # fmt: skip
        until = time.monotonic() + _WAIT
        while not self._answers():
            is_up = self._process.poll() is None and time.monotonic() < until
            assert is_up, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it at once, as a power cut would, or as `how` tells it to."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_WAIT)
            self._process = None

    def kill(self) -> None:
        """SIGKILL it and every process of it at once."""
        if self._process is not None:
            for one in [*psutil.Process(self._process.pid).children(recursive=True), self._process]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            self._process.wait(_WAIT)
            self._process = None

    def url(self, database: str = "postgres") -> str:
        """The address of a database as a setting names it."""
        return f"postgresql+psycopg://ffe:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement outside of a transaction; its rows."""
        import psycopg

        with psycopg.connect(self.url(database).replace("+psycopg", ""), autocommit=True) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def database(self, template: str = "template0") -> str:
        """The address of a new database, like the template."""
        name = f"t{uuid4().hex[:16]}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {sa.make_url(url).database} WITH (FORCE)")

    def _answers(self) -> bool:
        import psycopg

        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


class States:
    """Databases in the place of state files, one a file: what opens a file opens its database."""

    def __init__(self, server: Server, template: str) -> None:
        self._server, self._template = server, template
        self._urls: dict[Path, str] = {}
        self._engines: deque[sa.Engine] = deque()

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._urls)

    def url_of(self, file: Path) -> sa.URL:
        """The address of the database in the place of a file."""
        return sa.make_url(self.address_of(file))

    def address_of(self, file: Path) -> str:
        """The same as a setting names it."""
        if file not in self._urls:
            with suppress(FileExistsError, NotADirectoryError):  # a server is there whatever lies there
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()  # that there is a state is told by its file
            self._urls[file] = self._server.database(self._template)
        return self._urls[file]

    def kept(self, file: Path) -> str:
        """A database like that in the place of a file, for others to be made like it; nobody has that one open."""
        for engine in self._engines:
            engine.dispose()
        return str(sa.make_url(self._server.database(str(self.url_of(file).database))).database)

    def lay(self, file: Path, kept: str, statements: list[str]) -> None:
        """Put one like that in the place of a file, changed by these."""
        self._urls[file] = self._server.database(kept)
        for statement in statements:
            self._server.run(statement, str(self.url_of(file).database))

    def remember(self, engine: sa.Engine) -> sa.Engine:
        """Keep the connections of the newest engines only: an older one connects anew if it is asked again.

        A test of hypothesis opens databases with each example, and leaves them all open to its end.
        """
        self._engines.append(engine)
        if len(self._engines) > _ENGINES:
            self._engines.popleft().dispose()
        return engine

    def remove(self) -> None:
        """Drop the databases, and the connections that nobody closed."""
        for engine in self._engines:
            engine.dispose()
        for url in self._urls.values():
            self._server.drop(url)


@contextmanager
def running() -> Iterator[Server]:
    """A server for the time of a block."""
    folder = Path(tempfile.mkdtemp(prefix="ffe-postgresql-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
    folder.chmod(0o755)
    if (user := _user()) is not None:
        shutil.chown(folder, user)
    server = None
    try:
        server = Server(folder)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    folder = programs()
    assert folder is not None, "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    return str(folder / name)


def _run(name: str, *words: str) -> None:
    done = subprocess.run([_program(name), *words], user=_user(), capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr


def _user() -> str | None:
    """Whom the server runs as: it refuses to be root. The package makes the user."""
    return None if os.getuid() else pwd.getpwnam("postgres").pw_name


def _password(folder: Path) -> Path:
    file = folder / "password"
    file.write_text(PASSWORD)
    if (user := _user()) is not None:
        shutil.chown(file, user)
    return file


def _end_with_parent() -> None:
    """Have the kernel end the server at once when the tests are killed (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])
