"""Does a split that is known explain its jump, and no other?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffe_core.checks.known_splits import FILE, known_splits
from ffe_core.errors import InputError
from ffe_core.operations.checks.service import Checks
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.times import utc
from tests.checks import markets
from tests.checks.test_engine import put

SHARE = Series("SHAF", "1d", "alpha_vantage")
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
