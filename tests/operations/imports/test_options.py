"""Do the options of an import give the request that they say, and choices the option that answers their question?"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from ffe_core.errors import InputError
from ffe_core.files import plan
from ffe_core.files.opening import Content
from ffe_core.files.plan import Target, found_files
from ffe_core.files.profile import Profiles
from ffe_core.files.questions import Choice
from ffe_core.operations.imports.options import columns_named, names_say, option_of, request_of
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import planned
from ffe_core.settings import Settings
from tests.files.making import lines

STOOQ = "symbol,date,open,high,low,close,volume"
TARGET = Target.of("files:mine/BTCUSD/1h")


@pytest.mark.parametrize(
    ("choice", "option"),
    [
        (Choice("--zone UTC-5", ""), ("zone", "UTC-5")),
        (Choice("--decimal ,", ""), ("decimal", ",")),
        (Choice("--symbol BTC USD", ""), ("symbol", "BTC USD")),
        (Choice(r"--member 'a\ b\'s\.csv'", ""), ("member", r"a\ b\'s\.csv")),
        (Choice("--any-name", ""), ("any_name", True)),
        (Choice("--as files:mine", ""), ("as", "files:mine")),
        (Choice("--map open=COLUMN", "", is_typed=True), None),
    ],
)
def test_a_choice_gives_an_option(choice: Choice, option: object) -> None:
    assert option_of(choice) == option


def test_what_is_not_given_is_left_to_be_found_out() -> None:
    request = request_of(["a.csv"], TARGET, {"zone": "", "dates": None, "columns": (), "map": [], "member": None})
    assert (request.answers, request.profile, request.member, request.again) == ({}, "", "", False)


def test_options_become_fields_of_a_profile() -> None:
    given = {"dates": "day-first", "symbol": "BTC", "map": ["open=a=b"], "columns": columns_named(["time", "-"])}
    request = request_of(["a.csv"], TARGET, {**given, "no_volume": True, "any_name": True})
    assert request.answers == {
        "time_format": "dmy",
        "symbol": "BTC",
        "other_symbols": "left out",
        "open": "a=b",
        "without_volume": True,
        "columns": ("time", "left out 2"),
        "header": False,
    }
    assert request.any_name


@pytest.mark.parametrize("mapped", ["open", "open=", "=a", "opened=a"])
def test_a_map_of_nothing_is_refused(mapped: str) -> None:
    with pytest.raises(InputError, match="maps nothing"):
        request_of(["a.csv"], TARGET, {"map": [mapped]})


def test_names_say_what_all_of_them_say(tmp_path: Path) -> None:
    for name in ("BTCUSDT-1h-2024-01.zip", "BTCUSDT-1h-2024-02.zip"):
        (tmp_path / name).write_bytes(b"")
    known = Profiles(tmp_path / "none")
    assert names_say((str(tmp_path),), known) == ("BTCUSDT", "1h")
    (tmp_path / "ETHUSDT-1h-2024-02.zip").write_bytes(b"")
    assert names_say((str(tmp_path),), known) == ("", "1h")
    (tmp_path / "anything.csv").write_bytes(b"")
    assert names_say((str(tmp_path),), known) == ("", "")


def test_a_path_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be looked at: File name too long"):
        found_files(["/" + "x" * 300])


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_MOST_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.csv").write_bytes(b"")
    (tmp_path / ".hidden.csv").write_bytes(b"")
    with pytest.raises(InputError, match="holds more than 2 files; name folders below it"):
        found_files([tmp_path])
    (tmp_path / "c.csv").unlink()
    assert [path.name for path in found_files([tmp_path])] == ["a.csv", "b.csv"]


def test_a_plan_keeps_none_of_the_bytes_it_has_looked_at(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.csv").write_bytes(lines([f"S{number},2024-01-15,1,2,1,2,3"] * 2, STOOQ))
    found = planned(ImportRequest((str(tmp_path),), Target.of("files:mine/AAPL/1d"), any_name=True), Settings.load({}))
    assert len(found.looks) == 20
    assert found.looks[0].lines[0] == STOOQ
    assert found.looks[0].rows[0]["open"] == 1.0
    gc.collect()
    held = [one for one in gc.get_objects() if isinstance(one, Content)]
    assert not [one for one in held if tmp_path in one.part.file.parents]


@pytest.mark.parametrize("content", [b"", b"time,open,high,low,close,volume\n", STOOQ.encode()])
def test_a_file_without_a_row_is_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    found = planned(ImportRequest((str(path),), TARGET), Settings.load({}))
    assert (found.empty, found.questions, found.files) == (["a.csv"], [], {})


@pytest.mark.parametrize("content", [b'"' + b"x" * 200_000 + b"\n1,2\n", b"\x00\x01\x02" * 500, b"\xff\xfe\x00"])
def test_a_file_that_is_none_of_candles_is_told_and_ends_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    (tmp_path / "b.csv").write_bytes(lines(["AAPL,2024-01-15,1,2,1,2,3"], STOOQ))
    found = planned(ImportRequest((str(tmp_path),), Target.of("files:mine/AAPL/1d")), Settings.load({}))
    told = [Path(path).name for path, _ in found.unreadable] + found.empty + [name for name, _ in found.questions]
    assert told == ["a.csv"]
    assert [seen.name for seen in found.looks if seen.rows] == ["b.csv"]
