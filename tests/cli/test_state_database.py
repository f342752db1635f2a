"""Does the command line say what is the matter with the state database, and what to do next?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ffe_core.cli import main
from ffe_core.storage.state import database as databases
from ffe_core.storage.state import faults
from tests.storage.state.releases import unpacked

pytestmark = [pytest.mark.of_a_state_file("of a release"), pytest.mark.of_a_lake_folder("of a release")]

BACKFILL = "backfill --provider simulated --pairs BTCUSD --timeframes 1h --start 2024-01-01 --end 2024-01-01".split()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of release 0.1.0."""
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    return unpacked(tmp_path)


def _newer(data: Path) -> None:
    with closing(sqlite3.connect(data / "console.db")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.commit()


def _damaged(data: Path) -> None:
    (data / "console.db").write_bytes(b"not a database" * 500)


TROUBLES: dict[str, tuple[Callable[[Path], None], str]] = {
    "newer": (_newer, "install that release"),
    "damaged": (_damaged, "put a backup back"),
}


@pytest.mark.parametrize("verb", [BACKFILL, ["coverage"], ["schedules", "list"]])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_has_one_sentence_and_exit_status_1(
    data: Path, trouble: str, verb: list[str], capsys: pytest.CaptureFixture[str]
):
    make, next_step = TROUBLES[trouble]
    make(data)
    assert main(verb) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"the database {data}/console.db ")
    assert next_step in told
    assert "try again shortly" not in told


def test_one_that_another_program_locks(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(faults, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(data / "console.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert main(BACKFILL) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert "is locked by another program" in told
    assert "close what has it open" in told
    assert main(BACKFILL) == 0


@pytest.mark.parametrize("verb", [BACKFILL, ["coverage"]])
def test_one_that_is_gone_beside_a_lake_is_said_once(data: Path, verb: list[str], capsys: pytest.CaptureFixture[str]):
    (data / "console.db").unlink()
    assert main(verb) == 0
    about = f"warning: {data}/console.db"
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith(about)]
    assert len(told) == 1
    assert "was not there although the lake holds candles" in told[0]
    assert main(verb) == 0
    assert about not in capsys.readouterr().err
