"""Are properties that several machines give a table at one moment all there, each with one commit?"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import file_sources
from ffe_core.storage.lake.table_properties import set_properties
from tests.lake_files import log_path

MANY = 6


@pytest.fixture
def lakes(tmp_path: Path) -> list[DeltaLakeManager]:
    """One lake as several processes have it open."""
    return [DeltaLakeManager(tmp_path / "lake") for _ in range(MANY)]


def at_once(work: list[Callable[[], object]]) -> None:
    barrier = Barrier(len(work))

    def one(do: Callable[[], object]) -> None:
        barrier.wait()
        do()

    with ThreadPoolExecutor(len(work)) as pool:
        list(pool.map(one, work))


def test_sources_of_files_that_are_named_at_one_moment_are_all_named(lakes: list[DeltaLakeManager]) -> None:
    names = [f"files:mine{number}" for number in range(MANY)]
    series = [Series("BTCUSD", "1h", name) for name in names]
    at_once([lambda lake=lake, one=one: lake.note_source(one) for lake, one in zip(lakes, series, strict=True)])
    table = lakes[0].ensure_table("1h")
    assert sorted(file_sources(table)) == names
    assert table.version() == MANY
    lakes[0].note_source(series[0])
    assert lakes[0].ensure_table("1h").version() == MANY


def test_a_table_that_several_make_at_one_moment_is_made_once(tmp_path: Path) -> None:
    for place in range(5):
        lakes = [DeltaLakeManager(tmp_path / f"lake{place}") for _ in range(MANY)]
        at_once([lambda lake=lake: lake.ensure_table("1h") for lake in lakes])
        assert [lake.ensure_table("1h").version() for lake in lakes] == [0] * MANY


def test_any_table_that_several_begin_to_fill_is_made_once_and_holds_the_rows_of_all(tmp_path: Path) -> None:
    for place in range(5):
        lakes = [DeltaLakeManager(tmp_path / f"lake{place}") for _ in range(MANY)]
        rows = [pa.table({"word": [str(number)], "kind": ["note"]}) for number in range(MANY)]
        at_once([lambda lake=lake, own=own: lake.create_or_update_table(own, "notes", ["kind"])
                 for lake, own in zip(lakes, rows, strict=True)])  # fmt: skip
        assert sorted(lakes[0].read_table("notes")["word"]) == sorted(map(str, range(MANY)))
        log = sorted(log_path(lakes[0], "notes").glob("*.json"))
        assert [('"metaData"' in file.read_text()) for file in log] == [True] + [False] * (MANY - 1)


def test_a_change_that_another_forestalled_is_tried_on_what_there_is_now(lakes: list[DeltaLakeManager]) -> None:
    stale = lakes[0].ensure_table("1h")
    lakes[1].note_source(Series("BTCUSD", "1h", "files:other"))
    looks: list[DeltaTable] = []

    def look() -> DeltaTable:
        looks.append(stale if not looks else lakes[0].ensure_table("1h"))
        return looks[-1]

    assert set_properties(look, {"ffe.one": "true"})
    assert len(looks) == 2
    assert not set_properties(look, {"ffe.one": "true"})
