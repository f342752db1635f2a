"""Is a rule of one's own read, kept and evaluated as it is written, and is everything else refused in bounds?"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.rules.expression import broken, check, judge
from ffe_core.rules.model import FILE, Rule, Rules, as_toml, rule_of
from ffe_core.series import Series

BTC = Series("BTCUSD", "1h", "coinbase")
OPENS = np.arange(1_704_067_200, 1_704_067_200 + 4 * 3600, 3600)
COLUMNS = {
    "open": np.array([1.0, 2.0, 3.0, 4.0]),
    "high": np.array([2.0, 3.0, 9.0, 5.0]),
    "low": np.array([1.0, 2.0, 3.0, 4.0]),
    "close": np.array([1.5, 2.5, 3.5, 4.5]),
    "volume": np.array([10.0, 0.0, np.nan, 5.0]),
}


def places(**fields: object) -> list[int]:
    return np.flatnonzero(broken(rule_of(name="one", **fields), OPENS, COLUMNS)).tolist()


def test_an_expression_is_sql_over_the_columns_of_one_bar() -> None:
    assert places(holds="high <= 2 * low") == [2]
    assert places(holds="high <= 2 * low -- and a comment (with a bracket") == [2]
    assert places(holds="hour(timestamp) < 3") == [3]
    assert places(holds="abs(high - low) < 5 AND close BETWEEN 2 AND 4") == [0, 2, 3]


def test_what_it_cannot_tell_holds() -> None:
    assert places(holds="volume > 0") == [1]


@pytest.mark.parametrize(
    ("holds", "broken", "untold"),
    [
        ("(5 // volume) >= 1", [0], [1, 2]),
        ("volume != (high * 1000000000)::INTEGER OR high = 2", [], [1, 2, 3]),
        ("volume BETWEEN 1 AND 5", [0, 1], [2]),
    ],
)
def test_what_one_bar_raises_is_no_matter_of_the_others(holds: str, broken: list[int], untold: list[int]) -> None:
    judged = judge(rule_of(name="one", holds=holds), OPENS, COLUMNS)
    assert (np.flatnonzero(judged.broken).tolist(), np.flatnonzero(judged.untold).tolist()) == (broken, untold)


def test_one_that_raises_for_every_bar_is_refused_before_it_is_kept() -> None:
    check(rule_of(name="one", holds="(5 // volume) >= 0"), OPENS, COLUMNS)
    for holds in ("'abc'::DOUBLE > 1", "close > 'much'", "(5 // (volume - volume)) > 0"):
        with pytest.raises(InputError, match="holds: rule one cannot be evaluated"):
            check(rule_of(name="one", holds=holds), OPENS[:2], {name: values[:2] for name, values in COLUMNS.items()})


@pytest.mark.parametrize("holds", ["high", "'abc'", "timestamp", "low + 1"])
def test_what_is_no_condition_is_refused_before_it_is_kept(holds: str) -> None:
    for bounds in ({}, {"close": (0, 1)}):
        with pytest.raises(InputError, match="holds: rule one is no condition"):
            check(rule_of(name="one", holds=holds, bounds=bounds), OPENS, COLUMNS)


def test_what_it_asks_for_is_told_in_one_line() -> None:
    asked = rule_of(name="one", holds="high\n<= 2", bounds={"volume": (0, np.inf), "close": (1, 1e6)})
    assert asked.in_words == "0 <= volume AND 1 <= close <= 1000000 AND (high <= 2)"
    assert rule_of(name="one", holds=" close < 9500 ").in_words == "close < 9500"
    assert rule_of(name="one", holds="true", says="anything goes").in_words == "anything goes"


def test_bounds_are_both_ends_and_go_with_an_expression() -> None:
    assert places(bounds={"close": (2.5, 3.5)}) == [0, 3]
    assert places(bounds={"close": (2.5, 3.5)}, holds="high < 9") == [0, 2, 3]


def test_a_side_of_a_bound_may_be_left_open() -> None:
    assert places(bounds={"close": (-np.inf, 3.5)}) == [3]
    assert places(bounds={"close": (2.5, np.inf)}) == [0]


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ("high <=", 'cannot be read: syntax error at or near "<="; for example'),
        ("nope > 1", 'Referenced column "nope" not found'),
        ("high > (SELECT max(low) FROM bars)", "a rule is about one bar"),
        ("high > lag(high) OVER (ORDER BY timestamp)", "uses OVER"),
        ("high > (FROM bars)", "uses FROM"),
        ("true) OR (true", "no single expression"),
        ("true; true", "no single expression"),
        ("getenv('HOME') = 'x'", "cannot be evaluated"),
        ("current_setting('memory_limit') = 'x' AND glob('/*') = 'x'", "cannot be evaluated"),
        ("sum(high) > 1", "cannot be evaluated"),
        ("random() < 0.5", "the function random is not among"),
        ("repeat('a', 3) = 'aaa'", "the function repeat is not among"),
        ("list_sum(range(3)) > 0", "the function"),
        ("[high][1] > 0", "cannot be evaluated"),
        ("_place > 0", 'Referenced column "_place" not found'),
        ("COLUMNS(*) > 0", "a star is no part of a rule"),
    ],
)
def test_what_is_no_expression_over_one_bar_is_refused_at_its_field(holds: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        places(holds=holds)
    assert (refused.value.field, said in str(refused.value)) == ("holds", True), str(refused.value)


def test_an_expression_may_use_the_functions_of_one_bar() -> None:
    holds = "CASE WHEN hour(timestamp) < 24 THEN round(greatest(abs(-open), coalesce(volume, 0)) % 7, 2) >= 0 END"
    assert places(holds=f"{holds} AND date_part('year', timestamp) IN (1970, 2024) AND isnan(low) IS NOT NULL") == []


def test_one_that_takes_too_long_ends_in_bounds() -> None:
    rule = rule_of(name="slow", holds=" + ".join(f"exp(ln(close) / {place})" for place in range(1, 20)) + " > 0")
    many = {name: np.tile(column, 1_000_000) for name, column in COLUMNS.items()}
    began = time.monotonic()
    with pytest.raises(InputError, match=r"holds: rule slow takes more than 0\.3 s"):
        broken(rule, np.arange(len(many["close"])), many, seconds=0.3)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "No Name", "holds": "true"}, "name: use 1 to 40 of a-z"),
        ({"name": "one"}, "holds: it asks for nothing"),
        ({"name": "one", "bounds": {"price": (1, 2)}}, "bounds: 'price' is no column"),
        ({"name": "one", "bounds": {"close": (2, 1)}}, "turn them round"),
        ({"name": "one", "holds": "true", "severity": "bad"}, "severity: 'bad' is unknown"),
        ({"name": "one", "holds": "x" * 501}, "holds: it has 501 characters"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as refused:
        rule_of(**fields)
    assert said in str(refused.value)


def test_patterns_choose_series() -> None:
    for patterns, is_about in (
        (("*",), True),
        (("BTCUSD",), True),
        (("BTCUSD/1d",), False),
        (("*/1h/coinbase",), True),
        (("ETH*", "BTC*"), True),
    ):
        assert rule_of(name="one", holds="true", series=patterns).is_about(BTC) == is_about, patterns


@given(
    st.lists(
        st.builds(
            Rule,
            name=st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True),
            says=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            holds=st.just("close > 1") | st.just("high < 'ü\"\\n' OR\ntrue"),
            bounds=st.dictionaries(st.sampled_from(VALUES), st.tuples(st.floats(-5, 0), st.floats(0, 1e300))),
            series=st.tuples(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)),
            severity=st.sampled_from(["error", "warning", "notice"]),
            on=st.booleans(),
            dead_letters=st.booleans(),
        ),
        max_size=4,
    )
)
def test_the_file_reads_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, rules: list[Rule]) -> None:
    kept = Rules(tmp_path_factory.mktemp("rules"))
    kept.path.write_text(as_toml(rules), encoding="utf-8")
    assert kept.all() == rules


def test_a_file_that_is_locked_is_not_made_by_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is none yet"):
        Rules(tmp_path).remove("narrow")
    assert not (tmp_path / FILE).exists(), "a lock of the file itself would let two writers in once it is replaced"


def test_a_rule_is_added_changed_and_taken_out(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    assert rules.all() == []
    rules.save(rule_of(name="one", holds="true"))
    rules.save(rule_of(name="two", holds="true"))
    rules.save(rule_of(name="one", holds="close > 0"))
    assert [(rule.name, rule.holds) for rule in rules.all()] == [("one", "close > 0"), ("two", "true")]
    rules.remove("one")
    with pytest.raises(InputError, match="name: 'one' is unknown; there is two"):
        rules.remove("one")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]\n", "cannot be read"),
        ("format_version = 2\n", "newer release"),
        ("other = 1\n", r"more than tables \[\[rule\]\]"),
        ("[[rule]]\nname = 'one'\nholds = 'true'\nfor = 'x'\n", r"rule 1 \(one\): for: Extra inputs"),
        ("[[rule]]\nname = 'one'\n", r"rule 1 \(one\): holds: it asks for nothing"),
    ],
)
def test_a_file_that_cannot_be_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=said):
        Rules(tmp_path).all()
