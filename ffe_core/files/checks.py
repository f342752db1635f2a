"""Checks of how a part would be read: the writing of its numbers, its prices, and the distance of its bars."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ffe_core.candles import PRICES
from ffe_core.errors import InputError
from ffe_core.files.forms.base import Block
from ffe_core.files.found import Look
from ffe_core.files.numbers import Style, style_of
from ffe_core.files.numbers import read_numbers as read_column
from ffe_core.files.questions import Choice, Question
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.validation import UNREADABLE

_SAMPLE = 200
_DAY = 86_400
_LONGEST_BREAK = 5 * _DAY
"""No two days of a market that follow each other lie so far apart; weeks and months do."""


def read_numbers(look: Look, head: Block) -> None:
    """Find out how the numbers are written by those of the first rows; what cannot be told is asked."""
    _drop_empty_volume(look, head)
    profile = look.profile
    texts = [
        head.columns[column] for role, column in profile.prices.items() if role in PRICES or not profile.without_volume
    ]
    cells = [
        text or ""
        for column in texts
        if pa.types.is_string(column.type)
        for text in column.slice(0, _SAMPLE).to_pylist()
    ]
    if not cells:
        look.profile = profile.with_answers(decimal=profile.decimal or ".")
        return
    decimal, thousands, is_open = style_of(cells, profile.decimal, profile.thousands)
    if is_open:
        cell = next(cell for cell in cells if "," in cell)
        bare = cell.replace(",", "")
        look.questions.append(
            Question(
                "decimal",
                f"numbers such as {cell!r} have one comma and three digits after it",
                (
                    Choice("--decimal ,", f"{cell} is {cell.replace(',', '.')}"),
                    Choice("--decimal .", f"{cell} is {bare}"),
                ),
            )
        )
    look.profile = profile.with_answers(decimal=decimal, thousands=thousands)
    if decimal == "," or thousands:
        look.why["numbers"] = (
            f"decimal {decimal!r}",
            f"{thousands!r} between thousands" if thousands else "nothing between thousands",
        )


def _drop_empty_volume(look: Look, head: Block) -> None:
    """A column of volumes in which there is none, as of currencies at some vendors, is none."""
    profile = look.profile
    if profile.without_volume or not profile.volume:
        return
    if read_column(head.columns[profile.volume], Style(missing=profile.missing)).missing.all():
        look.profile = profile.with_answers(without_volume=True)
        look.why["volume"] = (profile.volume, "it is empty: the volume is 0")


def check_prices(look: Look, head: Block) -> None:
    """Ask which column is which: prices that break the rules in most rows are in other columns than their names say."""
    if look.questions:
        return
    rows = look.reader().of_block(head)
    columns = {name: values[:_SAMPLE] for name, values in rows.columns.items()}
    with np.errstate(invalid="ignore"):
        broken = (
            (columns["high"] < columns["low"])
            | (columns["open"] > columns["high"])
            | (columns["close"] < columns["low"])
            | (columns["open"] < columns["low"])
            | (columns["close"] > columns["high"])
        )
    if len(broken) >= 4 and broken.mean() > 0.5:
        choices = (Choice("--map open=COLUMN --map high=COLUMN ...", "which column is which", True),)
        look.questions.append(
            Question(
                "columns",
                f"read so, {int(broken.sum())} of the first {len(broken)} rows have prices outside of low and high",
                choices,
            )
        )


def check_spacing(look: Look) -> None:
    """InputError where the bars of the file lie at another distance than those of the timeframe."""
    rows = next((rows for rows in look.reader().rows() if len(rows) > 3), None)
    if rows is None:
        return
    opened = np.unique(rows.open_times[rows.open_times != UNREADABLE][:5000])
    apart = np.diff(opened)
    if len(apart) < 3:
        return
    values, counts = np.unique(apart, return_counts=True)
    usual = int(values[counts.argmax()])
    is_long = look.step >= _DAY
    if is_long and int(values.min()) >= _LONGEST_BREAK:
        text = f"{look.content.part.name}: its bars lie {usual // _DAY} days apart; days are the longest bars there are"
        raise InputError(text, field="as")
    if (
        usual == look.step
        or (usual % look.step == 0 and not counts.max() > 0.9 * len(apart))
        or (is_long and usual >= _DAY)
    ):
        return
    spelt = next((name for name, step in TIMEFRAMES.items() if step == usual), f"{usual:,} s")
    raise InputError(
        f"{look.content.part.name}: its bars lie {spelt} apart; choose the timeframe {spelt} (--as .../{spelt})"
        if spelt in TIMEFRAMES
        else f"{look.content.part.name}: its bars lie {spelt} apart, no timeframe there is ({', '.join(TIMEFRAMES)})",
        field="as",
    )
