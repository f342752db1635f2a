"""Does a split that is known explain its jump, and no other?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffe_core import load_candles
from ffe_core.checks.kinds.split import explaining
from ffe_core.checks.known_splits import FILE, known_splits
from ffe_core.errors import InputError
from ffe_core.operations.checks.service import Checks, kind_sentence
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.times import DAY, utc
from tests.checks import markets
from tests.checks.test_engine import put

SHARE = Series("SHAF", "1d", "alpha_vantage")
MONDAY = 1_728_259_200  # 2024-10-07
HEAD = "pair,day,new,old,reason\n"


def test_a_known_split_is_no_finding_and_another_factor_is(tmp_path: Path) -> None:
    made = markets.market(np.random.default_rng(7), SHARE, 1_704_067_200, 600, 150.0, 2, 0.02, 2e7)
    markets.split(made, 300, 7)
    day = utc(int(made.open_times[300])).date().isoformat()
    service = RunService(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))
    try:
        put(service.lake, made)
        checks = Checks(service)
        assert [one.kind for done in checks.look([SHARE]) for one in done.findings] == ["split"]
        (tmp_path / FILE).write_text(f"{HEAD}SHAF,{day},2,1,wrong\n")
        assert [one.kind for done in checks.look([SHARE]) for one in done.findings] == ["split"]
        (tmp_path / FILE).write_text(f"{HEAD}shaf,{day},7,1,announced\n")
        assert [one.kind for done in checks.look([SHARE]) for one in done.findings] == []
    finally:
        service.close()


@pytest.mark.parametrize(
    ("days", "ratio", "beside"),
    [
        ((0,), "7,1", None),
        ((-1,), "7,1", None),  # a Sunday: it is applied to the same bars
        ((-2,), "7,1", None),
        ((-3,), "7,1", "7:1 on 2024-10-04"),  # the Friday before is a bar of its own
        ((1,), "7,1", "7:1 on 2024-10-08"),
        ((0,), "13,2", "13:2 on 2024-10-07"),
        ((0,), "15,2", "15:2 on 2024-10-07"),
        ((0,), "2,1", "2:1 on 2024-10-07"),
        ((0,), "1,7", "1:7 on 2024-10-07"),
        ((-2, 0), "7,1", "7:1 on 2024-10-05, 7:1 on 2024-10-07"),  # together they are 49:1
        ((30,), "7,1", ""),
    ],
)
def test_a_split_on_record_explains_the_jump_that_it_removes(
    tmp_path: Path, days: tuple[int, ...], ratio: str, beside: str | None
) -> None:
    made = markets.market(np.random.default_rng(7), SHARE, 1_704_067_200, 600, 150.0, 2, 0.02, 2e7)
    at = int(np.searchsorted(made.open_times, MONDAY))
    assert (np.diff(made.open_times[at - 1 : at + 2]) // DAY).tolist() == [3, 1]
    markets.split(made, at, 7)
    rows = [f"SHAF,{utc(MONDAY + day * DAY).date()},{ratio},x\n" for day in days]
    (tmp_path / FILE).write_text(HEAD + "".join(rows))
    service = RunService(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))
    try:
        put(service.lake, made)
        found = [one for done in Checks(service).look([SHARE]) for one in done.findings if one.kind == "split"]
    finally:
        service.close()
    closes = load_candles("SHAF", "1d", adjust="splits", config={"data_dir": str(tmp_path)})["close"].to_numpy()
    is_removed = bool(abs(np.log(closes[at] / closes[at - 1])) < 0.1)
    assert is_removed == (not found) or ratio in ("13,2", "15,2")
    if beside is None:
        assert found == []
        return
    [one] = found
    assert ", ".join(one.evidence["recorded"]) == beside
    said = kind_sentence("split", one.evidence)
    assert said.endswith("; not applied" if not beside else f"; {beside} on record, which does not remove it")


def test_what_a_record_leaves_is_measured_against_the_usual_moves_and_the_nearest_ratio() -> None:
    jump = {"at": MONDAY, "bar_before": MONDAY - 3 * DAY, "new": 7, "old": 1, "before": 700.0, "tolerance": 0.06}
    for opened, factor, is_explained in (
        (100.0, 7.0, True),
        (105.0, 7.0, True),
        (95.0, 7.0, True),
        (100.0, 7.1, True),  # as it came out of rounded prices
        (105.0, 6.5, False),  # nearer than 7:1, and 7.4 % off it
        (104.0, 6.5, False),
        (100.0, 6.5, False),
    ):
        found = explaining({MONDAY: factor}, {**jump, "open": opened})
        assert bool(found) == is_explained, (opened, factor)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("AAPL,2014-06-09,7,0,x", "line 2: give pair, day, new, old, reason"),
        ("AAPL,9 June,7,1,x", "line 2: give pair, day, new, old, reason"),
        (",2014-06-09,7,1,x", "line 2: give pair, day, new, old, reason"),
        ("AAPL,2014-06-09,7,1,", "line 2: say in the column reason who says so"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / FILE).write_text(f"{HEAD}{row}\n")
    with pytest.raises(InputError, match=said):
        known_splits(tmp_path)
    assert known_splits(tmp_path / "nowhere") == {}
