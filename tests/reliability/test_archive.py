"""Is a folder of klines whole after kills, and would it be seen if it were not? The command has thousands of files."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import pytest

from tests.reliability import archive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_folder_comes_in_whole_however_it_is_killed_and_what_is_wrong_is_seen(tmp_path: Path) -> None:
    files, data = tmp_path / "files", tmp_path / "data"
    files.mkdir()
    found = archive.run(files, data, days=2, kills=1, chance=random.Random(3))
    assert found.faults == []

    zipped = min(files.glob("*.zip"))
    text = archive._content(zipped).decode()
    with zipfile.ZipFile(zipped, "w") as changed:
        changed.writestr(zipped.with_suffix(".csv").name, text.partition("\n")[2])
    min((data / "dlq").glob("*.json")).unlink()
    archive._compare_lake(found, archive.Import(files, data))
    archive._compare_letters(found, data, 2)
    archive._compare_files(found, {"results": []}, {zipped.name: 1440})
    assert [fault.partition(":")[0].partition(",")[0] for fault in found.faults] == [
        "AACUSDT",
        "1 dead letters",
        "a dead letter is there twice",
        "0 files are told of",
        "a file has other rows than it was made with",
    ]
