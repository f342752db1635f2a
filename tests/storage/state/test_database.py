"""Can several processes open a database that is not there yet at the same moment?"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ffe_core.errors import StorageError
from ffe_core.storage.state.database import Database
from tests.processes import at_once

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
