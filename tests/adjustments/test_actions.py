"""Table of corporate actions: what is read, refused, added once, and taken out."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Actions, action
from ffe_core.errors import InputError, StorageError
from ffe_core.operations.adjustments import record, take_out
from ffe_core.storage.state.audit import FAILED, Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database

SEVEN = action(SPLIT, "AAPL", "2014-06-09", Fraction(7), "announced 2014-04-23")
PAID = action(DIVIDEND, "AAPL", "2014-05-08", Fraction("3.29"), "announced")


def test_what_was_added_is_read_again_exactly_and_only_once(tmp_path: Path) -> None:
    actions = Actions(tmp_path / "new")
    assert not actions.is_kept
    half = action(SPLIT, "AAPL", "2005-02-28", Fraction(3, 2), "a paper")
    assert actions.add([SEVEN, PAID, half]) == 3
    assert actions.add([SEVEN, PAID]) == 0
    assert actions.of("AAPL", SPLIT) == [half, SEVEN]
    assert actions.all(DIVIDEND) == [PAID]
    assert actions.path(DIVIDEND).read_text() == "pair,day,amount,reason\nAAPL,2014-05-08,3.29,announced\n"
    assert actions.path(SPLIT).read_text().splitlines()[2] == "AAPL,2005-02-28,3,2,a paper"


def test_another_value_on_a_day_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    actions = Actions(tmp_path)
    actions.add([SEVEN])
    other = action(SPLIT, "AAPL", "2014-06-09", Fraction(2), "a typing error")
    more = action(SPLIT, "AAPL", "2020-08-31", Fraction(4), "announced")
    with pytest.raises(InputError, match=r"has a split of 7:1 on 2014-06-09 \(announced 2014-04-23\), not 2:1"):
        actions.add([more, other])
    assert actions.all(SPLIT) == [SEVEN]


@pytest.mark.parametrize(
    ("day", "value", "is_other"),
    [
        ("2014-06-07", Fraction(7), False),
        ("2014-06-10", Fraction(13, 2), False),
        ("2014-06-19", Fraction(7), False),
        ("2014-06-20", Fraction(7), True),
        ("2014-06-10", Fraction(2), True),
        ("2014-06-10", Fraction(1, 7), True),
    ],
)
def test_nearly_the_same_split_some_days_apart_is_refused_unless_it_is_meant(
    tmp_path: Path, day: str, value: Fraction, is_other: bool
) -> None:
    actions, other = Actions(tmp_path), action(SPLIT, "AAPL", day, value, "as found")
    actions.add([SEVEN])
    if is_other:
        assert actions.add([other]) == 1
        return
    with pytest.raises(InputError, match=r"has a split of 7:1 on 2014-06-09 on record \(announced 2014-04-23\)"):
        actions.add([other])
    assert actions.all(SPLIT) == [SEVEN]
    assert actions.add([action(SPLIT, "MSFT", day, value, "another share")]) == 1
    assert actions.add([action(DIVIDEND, "AAPL", day, value, "no split")]) == 1
    assert actions.add([other], is_meant=True) == 1
    assert actions.add([other, SEVEN]) == 0, "both are there already"


def test_what_the_file_could_not_give_back_is_refused(tmp_path: Path) -> None:
    actions = Actions(tmp_path)
    for one in (
        action(SPLIT, "AAPL", "2014-06-09", Fraction(10) ** 24, "x"),
        action(SPLIT, "AAPL", "2014-06-09", Fraction(1, 10**12), "x"),
        action(DIVIDEND, "AAPL", "2014-06-09", Fraction(1, 3), "x"),
    ):
        with pytest.raises(InputError, match="has more than twelve digits or decimals"):
            actions.add([one])
    assert not actions.is_kept


def test_columns_and_lines_of_people_stay(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("\ufeffday,pair,new,old,reason,seen\n2020-08-31,tsla,5,1,news,ann\n", encoding="utf-8")
    actions = Actions(tmp_path)
    actions.add([SEVEN])
    assert path.read_text().splitlines() == [
        "day,pair,new,old,reason,seen",
        "2020-08-31,tsla,5,1,news,ann",
        "2014-06-09,AAPL,7,1,announced 2014-04-23,",
    ]
    actions.remove(SPLIT, "TSLA", action(SPLIT, "TSLA", "2020-08-31", Fraction(1), "").day)
    assert actions.all(SPLIT) == [SEVEN]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pair,day,amount\n", "line 1: there is no column reason; give pair, day, amount, reason"),
        ("pair,day,amount,reason\nAAPL,2014-05-08,-1,x\n", "line 2: give pair, day, amount, reason, for example AAPL"),
        ("pair,day,amount,reason\nAAPL,2014-05-08,0,x\n", "line 2: give pair, day, amount"),
        ("pair,day,amount,reason\nAAPL,2014-05-08,3,29,x\n", "line 2: give pair, day, amount"),
        ("pair,day,amount,reason\nAAPL,2014-05-08,nan,x\n", "line 2: give pair, day, amount"),
        ("pair,day,amount,reason\nAAPL,2014-05-08,1,\n", "line 2: say in the column reason who says so"),
        (
            "pair,day,amount,reason\nA,2014-05-08,1,x\na,2014-05-08,2,x\n",
            "line 3: line 2 has a dividend of A on 2014-05-08 already; take one out; give their sum",
        ),
    ],
)
def test_a_file_that_cannot_be_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "dividends.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        Actions(tmp_path).all(DIVIDEND)
    with pytest.raises(InputError, match="dividends: "):
        Actions(tmp_path).add([PAID])
    assert (tmp_path / "dividends.csv").read_text() == text


def test_a_file_that_is_no_text_or_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no CSV in UTF-8"):
        Actions(tmp_path).all(SPLIT)
    (tmp_path / "dividends.csv").mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        Actions(tmp_path).all(DIVIDEND)


def test_every_change_has_a_reason_and_is_named_before_it_happens(tmp_path: Path) -> None:
    actions = Actions(tmp_path)
    database = Database(tmp_path / DATABASE_FILE)
    audit = Audit(database)
    try:
        assert record(actions, audit, SEVEN, "ann")
        assert not record(actions, audit, SEVEN, "ann")
        with pytest.raises(InputError, match="reason: say why"):
            record(actions, audit, action(SPLIT, "AAPL", "2020-08-31", Fraction(4), " "), "ann")
        take_out(actions, audit, SPLIT, "AAPL", SEVEN.day, "ann", "wrong")
        with pytest.raises(InputError, match="AAPL has no split of that day on record; there is none"):
            take_out(actions, audit, SPLIT, "AAPL", SEVEN.day, "ann", "wrong")
        rows = audit.find(target="AAPL")
        assert [row.verb for row in rows] == ["remove split", "remove split", "add split", "add split"]
        assert rows[0].outcome == FAILED
        assert rows[3].details == {"day": "2014-06-09", "value": "7:1", "added": 1}
    finally:
        database.close()


def test_writers_at_once_lose_nothing_and_leave_no_empty_file(tmp_path: Path) -> None:
    actions = Actions(tmp_path)
    with pytest.raises(InputError, match="there is none"):
        actions.remove(SPLIT, "AAPL", SEVEN.day)
    assert not actions.is_kept, "or splits would seem to be known"
    new = [action(DIVIDEND, "AAPL", f"2014-{month:02}-08", Fraction(1), "made") for month in range(1, 13)]
    code = (
        "import sys; from pathlib import Path; from fractions import Fraction\n"
        "from ffe_core.adjustments.actions import DIVIDEND, Actions, action\n"
        "for month in range(int(sys.argv[2]), 13, 3):\n"
        "    one = action(DIVIDEND, 'AAPL', f'2014-{month:02}-08', Fraction(1), 'made')\n"
        "    Actions(Path(sys.argv[1])).add([one])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(first)]) for first in (1, 2, 3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert actions.of("AAPL", DIVIDEND) == new
