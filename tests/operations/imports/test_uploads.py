"""Are uploads bounded, named safely, and gone when they were imported or a day is over?"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError, StorageError
from ffe_core.files.plan import Target
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.imports import uploads
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import Imports, planned
from ffe_core.operations.imports.uploads import KEPT_SECONDS, Uploads, safe_name
from ffe_core.settings import Settings
from tests.files.making import candles, lines, ohlcv

TARGET = Target.of("files:mine/BTCUSD/1h")
ANSWERS = {"zone": "UTC", "stamp": "open"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"data_dir": str(tmp_path / "data")})


@pytest.fixture
def console(settings: Settings) -> Iterator[ConsoleService]:
    service = ConsoleService(settings)
    yield service
    service.drain()


def kept(settings: Settings, *names: str, content: bytes = b"x") -> str:
    return Uploads(settings).keep([(name, io.BytesIO(content)) for name in names])


def left(settings: Settings) -> list[Path]:
    return [path for path in (settings.data_dir / "uploads").rglob("*") if path.is_file()]


def candle_bytes() -> bytes:
    rows = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)}" for one in candles("1h")]
    return lines(rows, "time,open,high,low,close,volume")


def test_files_keep_their_names_and_contents(settings: Settings) -> None:
    token = kept(settings, "BINANCE_BTCUSDT, 60.csv", "b.csv", content=b"abc")
    assert [path.name for path in Uploads(settings).files(token)] == ["BINANCE_BTCUSDT, 60.csv", "b.csv"]
    assert Uploads(settings).files(token)[0].read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Bitcoin Historical Data.csv", "Bitcoin Historical Data.csv"),
        ("../../etc/a.csv", "a.csv"),
        ("C:\\data\\a.csv", "a.csv"),
        (".hidden.csv", "hidden.csv"),
        ("..", "file"),
        ("", "file"),
        ("a\x00\u202eb?.csv", "ab_.csv"),
        ("x" * 300 + ".csv.gz", "x" * 196 + ".gz"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    if len(name) < 300:
        assert safe_name(name) == safe
    else:
        assert safe_name(name).endswith(".gz")


@given(st.text(max_size=400))
def test_whatever_a_name_is_it_is_one_of_a_file_in_its_folder(name: str) -> None:
    safe = safe_name(name)
    assert Path("/folder", safe).parent == Path("/folder")
    assert safe not in (".", "..")
    assert not safe.startswith(".")
    assert 0 < len(safe.encode()) <= 200
    assert safe_name(safe) == safe


def test_what_is_too_much_is_refused_and_nothing_of_it_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MB", 10)
    monkeypatch.setattr(uploads, "MOST_MB", 2)
    monkeypatch.setattr(uploads, "MOST_KEPT_MB", 3)
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    with pytest.raises(InputError, match=r"a\.csv is larger than 2 MB; put it on the server"):
        kept(settings, "a.csv", content=b"x" * 21)
    assert kept(settings, "a.csv", content=b"x" * 20)
    with pytest.raises(InputError, match="would be more than 3 MB; import or remove some first"):
        kept(settings, "b.csv", content=b"x" * 11)
    for names in ((), ("a", "b", "c")):
        with pytest.raises(InputError, match="send 1 to 2 at once"):
            kept(settings, *names)
    with pytest.raises(InputError, match=r"two files are named a\.csv"):
        kept(settings, "x/a.csv", "y/a.csv")
    assert len(left(settings)) == 1


def test_a_name_that_is_no_upload_leads_nowhere(settings: Settings) -> None:
    (settings.data_dir / "uploads").mkdir(parents=True)
    for token in ("", "..", "../lake", "0" * 16, "0" * 15 + "\n"):
        with pytest.raises(InputError, match="upload them again"):
            Uploads(settings).files(token)
        Uploads(settings).remove(token)
    assert settings.data_dir.is_dir()


def test_after_a_day_it_is_gone(settings: Settings) -> None:
    token = kept(settings, "a.csv")
    Uploads(settings, lambda: time.time() + KEPT_SECONDS - 60).sweep()
    assert Uploads(settings).files(token)
    Uploads(settings, lambda: time.time() + KEPT_SECONDS + 60).sweep()
    assert left(settings) == []


def test_a_folder_that_cannot_be_written_is_told(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "uploads").write_text("in the way")
    with pytest.raises(StorageError, match="uploads"):
        kept(settings, "a.csv")


def test_when_it_is_imported_it_is_gone_and_when_it_failed_it_stays(console: ConsoleService) -> None:
    for wrong in (True, False):
        names = ["a.csv", "a.csv.sha256"] if wrong else ["a.csv"]
        contents = [candle_bytes(), b"0" * 64]
        token = Uploads(console.settings).keep(
            [(name, io.BytesIO(content)) for name, content in zip(names, contents, strict=False)]
        )
        files = tuple(map(str, Uploads(console.settings).files(token)))
        request = ImportRequest(files, TARGET, answers=ANSWERS)
        run_id = Imports(console.run_service).start(planned(request, console.settings), request, "ann")
        console.run_service.wait(run_id, 60)
        assert console.runs.get(run_id).state == ("failed" if wrong else "complete")
        assert bool([path for path in left(console.settings) if token in path.parts]) == wrong
        if wrong:
            Uploads(console.settings).remove(token)
            with pytest.raises(InputError, match="upload them again"):
                Imports(console.run_service).retry_failed(run_id, "ann")


def test_the_console_sweeps_by_itself(console: ConsoleService, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(console.settings, "a.csv")
    monkeypatch.setattr(uploads, "KEPT_SECONDS", -60)
    console.keeper._step()
    assert left(console.settings) == []
