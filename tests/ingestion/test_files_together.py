"""Small files that are read as one: what comes of each is the same as if it were read by itself."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import InputError
from ffe_core.files.opening import Opened, Part
from ffe_core.ingestion import file_import
from ffe_core.ingestion.file_import import FileImport
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.stores import Stores
from tests.files.making import BEGIN, Candle, candles
from tests.ingestion.test_file_import import KLINES, SERIES, planned

FILES, ROWS = 5, 6
HEADER = b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy,taker_buy_quote,ignore\n"
Change = Callable[[list[bytes]], list[bytes]]


def row(at: int, close: float = 101.0) -> bytes:
    return KLINES([Candle(at, 100.0, 102.0, 99.0, close, 5.0)])


def cell(place: int, text: bytes) -> Change:
    """The third row with one cell replaced."""

    def change(lines: list[bytes]) -> list[bytes]:
        cells = lines[2].split(b",")
        cells[place] = text
        return [*lines[:2], b",".join(cells), *lines[3:]]

    return change


ODD: dict[str, Change] = {
    "nothing": lambda lines: lines,
    "no rows": lambda lines: [],
    "a blank line": lambda lines: [*lines[:2], b"\n", *lines[2:]],
    "a blank last line": lambda lines: [*lines, b"\n"],
    "a line that is no row": lambda lines: [*lines[:2], b"broken\n", *lines[2:]],
    "a cell too many": lambda lines: [*lines[:2], lines[2][:-1] + b",7\n", *lines[3:]],
    "a last line without its end": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "a last line that was cut": lambda lines: [*lines[:-1], lines[-1][:40]],
    "line ends of Windows": lambda lines: [line[:-1] + b"\r\n" for line in lines],
    "a line end of old": lambda lines: [lines[0][:-1] + b"\r", *lines[1:]],
    "quotes": cell(4, b'"101.5"'),
    "a quote left open": cell(4, b'"101.5'),
    "NaN": cell(4, b"NaN"),
    "no number": cell(2, b"much"),
    "no value": cell(3, b""),
    "a space": cell(1, b" 100.0"),
    "a price below zero": cell(3, b"-1.0"),
    "high below low": cell(2, b"1.0"),
    "no time": cell(0, b"noon"),
    "a time with a fraction": cell(0, b"1705330800000.0"),
    "a time off the grid": cell(0, b"1705330801000"),
    "a time in microseconds": cell(0, b"1705330800000000"),
    "a time of the future": cell(0, b"4102444800000"),
    "a header in the middle": lambda lines: [*lines[:2], HEADER, *lines[2:]],
    "a mark before the text": lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]],
    "no text": cell(4, b"\xff\xfe"),
    "newest first": lambda lines: lines[::-1],
    "a row twice": lambda lines: [*lines[:3], *lines[2:]],
    "a bar twice with other values": lambda lines: [*lines, row(BEGIN - BEGIN % 3600 + 8 * 3600)],
    "a bar of the file before": lambda lines: [row(BEGIN - BEGIN % 3600), *lines],
    "a hole": lambda lines: [*lines[:2], *lines[3:]],
}


def lines_of(number: int, change: Change) -> bytes:
    found = candles("1h", count=FILES * ROWS)[number * ROWS : (number + 1) * ROWS]
    lines = KLINES(found).splitlines(keepends=True)
    return b"".join(change(lines) if number == 1 else lines)


def written(folder: Path, contents: Sequence[bytes]) -> list[Path]:
    folder.mkdir()
    paths = []
    for number, content in enumerate(contents):
        paths.append(folder / f"BTCUSDT-1h-2024-0{number + 1}.zip")
        with zipfile.ZipFile(paths[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{paths[-1].stem}.csv", content)
    return paths


def outcome(folder: Path, name: str, paths: Sequence[Path]) -> dict[str, Any]:
    """All that an import of the files comes to but the moment."""
    settings = Settings.load({"data_dir": str(folder / name)})
    stores = Stores(settings, DeltaLakeManager(settings.lake_uri))
    work = FileImport(SERIES, stores)
    report = work.run(planned(paths).files[SERIES])
    for one in work.files:
        assert one.received == one.stored + one.dead_lettered + one.repeats
    columns = ["open", "high", "low", "close", "volume", "_ingestion_id"]
    letters = [stores.queue.read(batch.id) for batch in stores.queue.batches()]
    records = [(one.raw["file"], one.raw["line"], one.raw["text"], one.reasons) for it in letters for one in it.records]
    return {
        "files": [one.as_dict() for one in work.files],
        "rows": stores.lake.current(SERIES, 0, 2**40, columns).to_pylist(),
        "records": sorted(records, key=str),
        "counts": [getattr(report.counts, name) for name in ("received", "stored", "restated", "duplicates")],
    }


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files were read as one, each time."""
    found: list[int] = []
    real = FileImport._take_together

    def take(work: FileImport, report: Any, waiting: Sequence[Any]) -> bool:
        done = real(work, report, waiting)
        found.extend([len(waiting)] if done else [])
        return done

    monkeypatch.setattr(FileImport, "_take_together", take)
    return found


def test_files_in_which_nothing_is_odd_are_read_as_one(tmp_path: Path, joined: list[int]) -> None:
    paths = written(tmp_path / "files", [lines_of(number, ODD["nothing"]) for number in range(FILES)])
    found = outcome(tmp_path, "data", paths)
    assert joined == [FILES]
    assert [one["stored"] for one in found["files"]] == [ROWS] * FILES
    assert len({one["_ingestion_id"] for one in found["rows"]}) == FILES


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("header", [b"", HEADER], ids=["bare", "header"])
def test_files_read_as_one_come_to_the_same_as_one_by_one(
    odd: str, header: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = written(tmp_path / "files", [header + lines_of(number, ODD[odd]) for number in range(FILES)])
    together = outcome(tmp_path, "together", paths)
    monkeypatch.setattr(file_import, "MOST_BYTES", 1)
    assert together == outcome(tmp_path, "apart", paths)


@pytest.mark.parametrize("place", ["name", "checksum", "size", "data", "cut"])
def test_a_member_that_is_not_what_its_archive_says_is_refused(place: str, tmp_path: Path) -> None:
    """The short way through a zip takes nothing that the long one refuses."""
    [path] = written(tmp_path / "files", [lines_of(0, ODD["nothing"])])
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    at = {"name": 34, "checksum": directory + 16, "size": directory + 24, "data": directory - 20, "cut": directory - 3}
    data[at[place]] ^= 1
    path.write_bytes(data)
    plain = Opened(path, 10)
    held = Opened(path, 10, bytes(data))
    assert answer(plain, path) == answer(held, path)
    assert (answer(held, path) == "refused") == (place != "size")  # a size that says too much is no harm


def test_a_member_is_never_unpacked_beyond_its_size(tmp_path: Path) -> None:
    """An archive that says less than it unpacks to is stopped there."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"1" * 1_000_000)
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (1000).to_bytes(4, "little")
    assert answer(Opened(path, 10, bytes(data)), path) == "refused"


def answer(opened: Opened, path: Path) -> bytes | str | None:
    try:
        with opened:
            return opened.content(Part(path, opened.parts()[0].member)).data
    except InputError:
        return "refused"
