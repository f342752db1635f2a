"""Can several processes open a database that is not there yet at the same moment?"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ffe_core.errors import DatabaseError, StorageError
from ffe_core.storage.state.database import Database
from tests.processes import at_once

pytestmark = pytest.mark.of_a_state_file("what a file keeps to; servers: test_postgresql")
_OPEN_MANY = """
import sys, time
from pathlib import Path
import ffe_core.storage.state.runs
from ffe_core.storage.state.database import Database
while time.time() < float(sys.argv[2]):
    pass
for number in range(20):
    Database(Path(sys.argv[1]) / str(number) / "console.db").close()
"""


@pytest.mark.slow
def test_processes_at_once_each_open_a_new_one(tmp_path: Path):
    at_once(_OPEN_MANY, [(tmp_path, time.time() + 4)] * 3)
    assert len(list(tmp_path.glob("*/console.db"))) == 20


def test_one_that_cannot_be_made_is_a_storage_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Database(tmp_path / "file" / "console.db")
    (tmp_path / "console.db").mkdir()
    with pytest.raises(StorageError, match=r"console\.db"):
        Database(tmp_path / "console.db")


def test_a_connection_that_cannot_write_is_given_up_after_one_failure(tmp_path: Path):
    database = Database(tmp_path / "console.db")
    with database.read() as connection:
        # As SQLite leaves one that it opened while the file could not be written; the pool lends it out again.
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(DatabaseError) as refused, database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE more (id INTEGER)")
    assert refused.value.code == "database_read_only"
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE more (id INTEGER)")
    database.close()
