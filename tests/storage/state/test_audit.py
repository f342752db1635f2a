"""Audit rows are written before the act, and completed by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from ffe_core.errors import StorageError
from ffe_core.storage.state.audit import BEGUN, DONE, FAILED, Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / DATABASE_FILE)


def test_the_row_is_there_before_the_act_and_complete_after_it(database: Database) -> None:
    audit = Audit(database)
    with audit.act("ann", "purge dead letters", "2 entries", "old", entries=["a", "b"]) as act:
        (row,) = audit.find()
        assert (row.outcome, row.details) == (BEGUN, {"entries": ["a", "b"]})
        act.target = "1 entry"
        act.note(entries=["a"])
    (row,) = audit.find()
    assert (row.outcome, row.target, row.details) == (DONE, "1 entry", {"entries": ["a"]})


def test_an_act_that_fails_says_so(database: Database) -> None:
    with pytest.raises(StorageError), Audit(database).act("ann", "rewind", "BTCUSD/1h/coinbase", "bad", watermark="x"):
        raise StorageError("the lake is away")
    (row,) = Audit(database).find()
    assert row.outcome == FAILED
    assert row.details == {"watermark": "x", "error": "StorageError: the lake is away"}


def test_without_a_row_nothing_is_done(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise StorageError("the disk is full")

    done = []
    monkeypatch.setattr(database, "write", away)
    with pytest.raises(StorageError, match="full"), Audit(database).act("ann", "rewind", "BTCUSD/1h/coinbase"):
        done.append("rewound")
    assert done == []


def test_what_was_done_stands_where_its_outcome_cannot_be_written(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise StorageError("the disk is full")

    with Audit(database).act("ann", "rewind", "BTCUSD/1h/coinbase"):
        monkeypatch.setattr(database, "write", away)
    assert "cannot be written: the disk is full" in caplog.text


def test_a_process_that_dies_in_the_act_leaves_its_intent(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from ffe_core.storage.state.audit import Audit;"
        "from ffe_core.storage.state.database import Database\n"
        "with Audit(Database(Path(sys.argv[1]))).act('ann', 'forget', 'BTCUSD/1h/coinbase', 'why'): os._exit(9)"
    )
    file = tmp_path / DATABASE_FILE
    root = Path(__file__).parents[3]
    assert (
        subprocess.run([sys.executable, "-c", code, str(file)], cwd=root, env=os.environ, check=False).returncode == 9
    )
    with sa.create_engine(f"sqlite:///{file}").connect() as connection:
        assert connection.execute(sa.text("select actor, verb, outcome from audit")).all() == [("ann", "forget", BEGUN)]
