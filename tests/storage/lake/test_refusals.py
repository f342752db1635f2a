"""Refusals of the installed deltalake, provoked for real: a wording that changes is told here, not in the night."""

import time
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from ffe_core.storage.lake.refusals import is_stale_handle

ROWS = pa.table({"a": [1]})
EXPIRES_AT_ONCE = {"delta.logRetentionDuration": "interval 0 seconds", "delta.enableExpiredLogCleanup": "true"}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    place = str(tmp_path / "table")
    DeltaTable.create(place, schema=ROWS.schema, configuration=EXPIRES_AT_ONCE)
    write_deltalake(place, ROWS, mode="append")
    return place


def append(table: DeltaTable, app_id: str = "x") -> None:
    marked = CommitProperties(app_transactions=[Transaction(app_id, 1)])
    write_deltalake(table, ROWS, mode="append", commit_properties=marked)


def test_a_handle_whose_log_was_cleaned_up_is_stale(uri: str) -> None:
    handle = DeltaTable(uri)
    for _ in range(3):
        write_deltalake(uri, ROWS, mode="append")
    time.sleep(0.05)
    newest = DeltaTable(uri)
    newest.create_checkpoint()
    newest.cleanup_metadata()
    with pytest.raises(DeltaError) as refused:
        append(handle)
    assert is_stale_handle(refused.value)
    append(DeltaTable(uri))
    assert DeltaTable(uri).to_pyarrow_dataset().count_rows() == 5, "the refused write left nothing behind"


def test_a_race_is_not_a_stale_handle(uri: str) -> None:
    late = DeltaTable(uri)
    append(DeltaTable(uri))
    with pytest.raises(CommitFailedError) as refused:
        append(late)
    assert not is_stale_handle(refused.value)
