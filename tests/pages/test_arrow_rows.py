"""Are rows made without pandas the very table that Arrow makes of them?"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.widgets.arrow_rows import table_of

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_KINDS = (
    _TEXTS,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.lists(_TEXTS),
    st.lists(st.none() | st.integers(0, 9)),
    st.dates(),
    st.timedeltas(),
    st.none(),
)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = draw(st.dictionaries(_TEXTS, st.sampled_from(_KINDS), max_size=4))
    cells = {name: st.none() | kind for name, kind in kinds.items()}
    return draw(st.lists(st.fixed_dictionaries({}, optional=cells), max_size=20))


@given(tables())
def test_the_table_is_arrows_own(rows: list[dict[str, Any]]) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    own, arrows = table_of(rows), pa.table({name: [row.get(name) for row in rows] for name in names})
    own.validate(full=True)
    assert own.schema == arrows.schema
    assert repr(own.to_pylist()) == repr(arrows.to_pylist())  # NaN is not itself, and -0.0 is 0.0


@pytest.mark.parametrize("cells", [[1, "a"], [["a"], [1, "b"]], [["a"], "a"]])
def test_values_of_several_kinds_are_no_column(cells: list[Any]) -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        table_of([{"cell": cell} for cell in cells])


def test_pandas_is_not_loaded_for_it() -> None:
    code = (
        "import sys; from datetime import timedelta; from pages.widgets.arrow_rows import table_of;"
        "first = {'a': 'x', 'b': 1, 'c': 1.5, 'd': True, 'e': ['x'], 'f': [], 'h': timedelta(1)};"
        "table_of([first, {'e': None, 'g': None}]);"
        "print('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
