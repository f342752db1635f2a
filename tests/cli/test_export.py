"""`ffe export` as a process: files of another tool, written once, and every wrong word told in a sentence."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.cli import test_backfill
from tests.exports.conftest import BTC, values_of
from tests.insight.lakes import put


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data directory that holds fifty hours."""
    made = tmp_path_factory.mktemp("export")
    put(DeltaLakeManager(made / "data" / "lake"), BTC, values_of(BTC))
    return made


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return test_backfill.run(folder / "data", "export", *map(str, words))


def test_files_are_written_and_never_over_others(folder: Path, tmp_path: Path) -> None:
    words = (tmp_path / "out", "--as", "freqtrade", "--pairs", "btc-usdt", "--timeframe", "1h")
    done = run(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "50 bars in" in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["BTC_USDT-1h.feather"]
    again = run(folder, *words)
    assert again.returncode == 2
    assert "holds BTC_USDT-1h.feather already; nothing was written" in again.stderr
    assert run(folder, *words, "--replace").returncode == 0


def test_derived_bars_of_a_range_as_one_json_document(folder: Path, tmp_path: Path) -> None:
    words = ("--as", "vectorbt", "--pairs", "BTCUSDT", "--timeframe", "2h", "--start", "2024-01-01", "--end")
    done = run(folder, tmp_path / "out", *words, "2024-01-01", "--json")
    assert done.returncode == 0, done.stderr
    [one] = json.loads(done.stdout)["series"]
    assert one == {"asset_pair": "BTCUSDT", "timeframe": "2h", "provider": "files:binance", "bars": 12}


def test_the_forms_are_listed(folder: Path) -> None:
    assert "zipline's csvdir bundle" in run(folder, "forms").stdout
    assert len(json.loads(run(folder, "forms", "--json").stdout)) == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pairs", "BTCUSDT", "--timeframe", "1h"), "--as is missing"),
        (("--as", "lean", "--timeframe", "1h"), "--pairs is missing"),
        (("--as", "lean", "--pairs", "BTCUSDT"), "--timeframe is missing"),
        (("--as", "excel", "--pairs", "BTCUSDT", "--timeframe", "1h"), "'excel' is unknown"),
        (("--as", "lean", "--pairs", "NOPE", "--timeframe", "1h"), "is not stored"),
        (("--as", "lean", "--pairs", "BTCUSDT", "--timeframe", "2h"), "lean has no room for 2h"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_written(folder: Path, tmp_path: Path, words: tuple[str, ...], said: str):
    done = run(folder, tmp_path / "out", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []
