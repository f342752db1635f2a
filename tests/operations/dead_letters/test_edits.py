"""Do fixes do what they say, and is an edit that cannot be read refused at its field?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.operations.dead_letters.edits import (
    FieldError,
    apply,
    check_edit,
    drop_volume,
    in_words,
    parse_record,
    parse_value,
    scale,
    set_fields,
    swap_high_low,
)
from ffe_core.validation import REASONS
from tests.storage.dead_letters.harness import HOUR, START, good, upside_down

FAR = 2**40


class TestFixes:
    def test_high_and_low_are_exchanged(self):
        assert swap_high_low(upside_down(0)) == good(0)
        with pytest.raises(InputError, match="low: the record has no low"):
            swap_high_low({"high": 1})

    @pytest.mark.parametrize(
        ("value", "factor", "result"),
        [("43000.50", 0.01, "430.005"), ("1", "1e3", "1000"), (2, 0.5, 1.0), (0.1, 10, 1.0), ("-0.5", 2, "-1")],
    )
    def test_a_text_is_scaled_in_decimals_and_stays_text(self, value: Any, factor: Any, result: Any):
        assert scale({"open": factor})({"open": value, "high": "9"}) == {"open": result, "high": "9"}

    @given(st.decimals(allow_nan=False, allow_infinity=False, min_value="1e-9", max_value="1e9", places=9))
    def test_scaling_up_and_down_again_is_the_same_number(self, price: Decimal):
        record = scale({"open": 100})(scale({"open": "0.01"})({"open": format(price, "f")}))
        assert Decimal(record["open"]) == price

    @pytest.mark.parametrize("value", ["n/a", None, True, [], "NaN", "Infinity", ""])
    def test_what_is_no_number_cannot_be_scaled(self, value: Any):
        with pytest.raises(InputError, match=r"open: .* is not a number"):
            scale({"open": 2})({"open": value})

    def test_what_cannot_be_scaled_at_all(self):
        with pytest.raises(InputError, match="'date' cannot be scaled"):
            scale({"date": 2})
        with pytest.raises(InputError, match="factor: 'x' is not a number"):
            scale({"open": "x"})

    def test_set_and_drop(self):
        assert apply([set_fields({"open": 5}), drop_volume], {"open": 1, "volume": -1}) == {"open": 5}
        with pytest.raises(InputError, match="no named fields"):
            apply([drop_volume], [1])

    @given(st.dictionaries(st.sampled_from(["open", "high", "low", "volume", "x"]), st.integers()))
    def test_the_record_given_is_never_changed(self, record: dict[str, int]):
        before = dict(record)
        for fix in (drop_volume, set_fields({"open": 1}), swap_high_low):
            try:
                apply([fix], record)
            except InputError:
                assert fix is swap_high_low
            assert record == before


class TestWhatIsTyped:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("5", 5),
            ("5.10", 5.1),
            ('"5"', "5"),
            ("null", None),
            ("n/a", "n/a"),
            ("2024-01-01T00:00:00Z",) * 2,
            ("", ""),
            ("[" * 9999,) * 2,
        ],
    )
    def test_a_value_is_json_or_text(self, text: str, value: Any):
        assert parse_value(text) == value

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("{", "not JSON: expecting property name .* at line 1, column 2"),
            ("", "not JSON"),
            ("[1]", "an object with named fields"),
            ("5", "an object"),
            ('{"a":' * 9999, "too deep"),
            ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ],
    )
    def test_a_record_that_is_none_is_refused_as_a_whole(self, text: str, why: str):
        with pytest.raises(FieldError, match=why) as caught:
            parse_record(text)
        assert caught.value.fields.keys() == {""}


class TestEditsThatCannotBeRead:
    @pytest.mark.parametrize(
        ("changes", "field", "why"),
        [
            ({"open": "abc"}, "open", "does not read as a number"),
            ({"high": None}, "high", "absent or null"),
            ({"low": "NaN"}, "low", "NaN or infinite"),
            ({"close": [1]}, "close", "does not read as a number"),
            ({"volume": "much"}, "volume", "does not read as a number"),
            ({"date": "2024-01-01T00:30:00Z"}, "date", "not on the timeframe's grid"),
            ({"date": "2024-01-01"}, "date", "with a zone"),
            ({"date": "soon"}, "date", "with a zone"),
            ({"date": None}, "date", "absent or null"),
            ({"date": "2024-01-01T09:00:00Z"}, "date", "not closed yet"),
        ],
    )
    def test_the_field_is_named(self, changes: dict[str, Any], field: str, why: str):
        with pytest.raises(FieldError, match=why) as caught:
            check_edit("here", good(0), good(0, **changes), HOUR, START + 9 * HOUR)
        assert caught.value.fields.keys() == {field}
        assert str(caught.value).startswith(f"here: {field}: ")

    def test_every_wrong_field_is_named_at_once(self):
        with pytest.raises(FieldError) as caught:
            check_edit("here", good(0), good(0, open="x", date="y"), HOUR, FAR)
        assert caught.value.fields.keys() == {"open", "date"}

    def test_a_required_field_cannot_be_taken_away(self):
        without = {name: value for name, value in good(0).items() if name != "close"}
        with pytest.raises(FieldError, match="close: None: a required field"):
            check_edit("here", good(0), without, HOUR, FAR)

    def test_what_was_wrong_before_is_for_the_preview_to_say(self):
        broken = good(0, open="x", date="y")
        check_edit("here", broken, {**broken, "high": "5"}, HOUR, FAR)

    @pytest.mark.parametrize("changes", [{"high": "1"}, {"low": -5}, {"volume": -1}, {"note": [1, {"a": None}]}])
    def test_a_value_that_breaks_a_rule_can_be_saved_and_previewed(self, changes: dict[str, Any]):
        check_edit("here", good(0), good(0, **changes), HOUR, FAR)

    @pytest.mark.parametrize("value", [None, [], "text", 5])
    def test_what_is_no_object_is_refused(self, value: Any):
        with pytest.raises(FieldError, match="an object with named fields"):
            check_edit("here", good(0), value, HOUR, FAR)

    def test_a_text_record_can_be_replaced_as_a_whole(self):
        check_edit("here", "garbage", good(0), HOUR, FAR)
        with pytest.raises(FieldError, match="what came is not a record"):
            check_edit("here", {"raw": "a"}, {"raw": "b"}, HOUR, FAR)


def test_every_reason_has_words():
    for code in REASONS:
        assert in_words(code) == REASONS[code]
    assert in_words("not_a_number:open") == "a field does not read as a number (open)"
    assert in_words("somebody_elses:x") == "somebody_elses (x)"
