"""Reading a catalogue from the command line is an act with a name."""

from __future__ import annotations

from pathlib import Path

from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.cli.test_backfill import run


def test_a_catalogue_that_is_read_by_hand_is_in_the_audit(tmp_path: Path) -> None:
    assert run(tmp_path, "instruments", "--refresh", "--provider", "simulated", "btc").returncode == 0
    [row] = Audit(Database(tmp_path / DATABASE_FILE)).find()
    assert (row.verb, row.target, row.outcome) == ("read catalogue", "simulated", "done")
