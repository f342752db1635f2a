"""Exports of adjusted bars: the same as adjusted reading, labelled, and none where a tool adjusts by itself."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest

from ffe_core import load_candles
from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Actions, action
from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from tests.exports.conftest import BTC, DAYS, Export
from tests.insight.lakes import JANUARY


@pytest.fixture
def actions(tmp_path: Path) -> Actions:
    """What is on record of AAPL, the shares of the lake."""
    kept = Actions(tmp_path / "data")
    split = action(SPLIT, "AAPL", "2024-06-10", Fraction(7), "made up")
    kept.add([split, action(DIVIDEND, "AAPL", "2024-03-04", Fraction("0.01"), "made up")])
    return kept


@pytest.mark.parametrize("size", [None, "1w"])
@pytest.mark.parametrize("adjust", ["splits", "all"])
def test_files_hold_what_adjusted_reading_gives_and_say_so(
    export: Export, actions: Actions, adjust: str, size: str | None
) -> None:
    read = load_candles("AAPL", "1d", provider="files:mine", resample=size, adjust=adjust)
    folder, _ = export("arrow", DAYS, size=size, adjust=adjust)
    name = f"AAPL-{size or '1d'}"
    found = pa.ipc.open_file(folder / f"{name}.arrow").read_all().to_pandas()
    pd.testing.assert_frame_equal(found[list(VALUES)], read[list(VALUES)], check_exact=True)
    assert set(found["adjustment"]) == {adjust}
    label = (folder / f"ADJUSTED-{name}.txt").read_text()
    assert f"AAPL {size or '1d'} from files:mine: adjusted backward for splits" in label
    assert "Bars before 2024-06-10: prices * 1 / 7 * 1.0, volumes * 7 / 1" in label
    assert ("Bars before 2024-03-04" in label) == (adjust == "all")


def test_text_reads_back_as_the_same_floats(export: Export, actions: Actions) -> None:
    folder, _ = export("vectorbt", DAYS, adjust="splits")
    with (folder / "AAPL-1d.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    read = load_candles("AAPL", "1d", provider="files:mine", adjust="splits")
    assert [float(row["Close"]) for row in found] == read["close"].tolist()
    assert [float(row["Volume"]) for row in found] == read["volume"].tolist()
    assert (folder / "ADJUSTED-AAPL-1d.txt").exists()


def test_raw_files_and_their_columns_are_as_they_were(export: Export, actions: Actions) -> None:
    folder, _ = export("arrow", DAYS)
    assert [path.name for path in folder.iterdir()] == ["AAPL-1d.arrow"]
    assert "adjustment" not in pa.ipc.open_file(folder / "AAPL-1d.arrow").schema.names


def test_a_pair_without_actions_is_said_to_have_none(export: Export, actions: Actions) -> None:
    folder, _ = export("freqtrade", BTC, adjust="splits")
    assert "None on record counts for these bars" in (folder / "ADJUSTED-BTCUSDT-1h.txt").read_text()
    raw, _ = export("freqtrade", BTC, "raw")
    name = "BTC_USDT-1h.feather"
    assert feather.read_table(folder / name).equals(feather.read_table(raw / name))


def test_lean_adjusts_by_itself(export: Export, actions: Actions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="adjust: the tool of lean takes raw prices and adjusts them by itself"):
        export("lean", DAYS, adjust="splits")
    assert not (tmp_path / "out").exists()


def test_bars_after_every_ex_day_are_raw(export: Export, actions: Actions) -> None:
    folder, _ = export("arrow", DAYS, span=(JANUARY + 200 * 86_400, None), adjust="all")
    found = pa.ipc.open_file(folder / "AAPL-1d.arrow").read_all()
    read = load_candles("AAPL", "1d", JANUARY + 200 * 86_400, provider="files:mine", as_="arrow")
    assert found["close"].to_pylist() == read["close"].to_pylist()
