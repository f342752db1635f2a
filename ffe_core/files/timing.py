"""Times of a part: their format and unit by what they look like, their zone and end of bar by asking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.files import clock, names
from ffe_core.files.forms.base import Block
from ffe_core.files.found import Look
from ffe_core.files.profile import fixed_offset
from ffe_core.files.questions import Choice, Question

_SAMPLE = 200
_STAMPS = {"open": "open", "close": "end"}
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_ORDERS = {
    "ymd": "written year, month, day", "dmy": "written day, month, year", "mdy": "written month, day, year",
    "day_month_name": "written day, name of the month, year", "month_name_day": "written name of the month, day, year",
    "compact": "written in digits alone, like 20240115",
}  # fmt: skip
_ZONES = ("UTC", "America/New_York", "UTC+2")


def read_time(look: Look, head: Block) -> None:
    """Find out format, unit, zone and stamp of the times by the first rows; what cannot be told is asked."""
    profile = look.profile
    columns = [head.columns[name.strip()] for name in profile.time.split(" + ")]
    column = clock.joined(columns) if len(columns) > 1 else columns[0]
    sample = column.slice(0, _SAMPLE)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        look.profile = profile.with_answers(time_format=profile.time_format or "ymd")
        look.say("time", "its type is a time")
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        form = profile.time_format or ("compact" if _are_dates(sample) else "epoch")
        look.profile = profile.with_answers(time_format=form)
    else:
        _read_text_time(look, [text or "" for text in sample.to_pylist()])
    if look.profile.time_format in clock.COUNTED and not look.named.day:
        raise InputError(
            f"{look.content.part.name}: its times count from the start of a day, month or year that its path does not"
            " say; import it by the path it had, such as equity/usa/minute/aapl/20140605_trade.zip",
            field="file",
        )
    if look.profile.time_format == "epoch" and not look.profile.unit:
        units = [_UNITS[one] for one in clock.units_of(clock.whole_numbers(sample))]
        look.say("time", f"{' and '.join(units)} since 1970, by their size, row by row")
    _ask_zone(look, sample)
    _ask_stamp(look, sample)


def _are_dates(sample: pa.Array) -> bool:
    numbers = clock.whole_numbers(sample)
    return bool(((numbers >= 18000101) & (numbers <= 29991231)).mean() >= 0.9) if len(numbers) else False


def _read_text_time(look: Look, texts: list[str]) -> None:
    if look.profile.time_format:
        return
    forms = clock.formats_of(texts)
    if "dmy" in forms and "mdy" in forms:
        forms = _day_or_month(look) or forms
    if not forms:
        wrong = next((text for text in texts if not clock.formats_of([text])), texts[0])
        raise InputError(
            f"{look.content.part.name}: {wrong[:40]!r} in {look.profile.time!r} is no time;"
            " name the column that is (--map time=COLUMN)",
            field="file",
        )
    if forms[0] == "dmy" and "mdy" in forms:
        text = next((one for one in texts if _reading(one, "dmy") != _reading(one, "mdy")), texts[0])
        readings = [
            Choice(f"--dates {name}", _reading(text, form))
            for name, form in (("day-first", "dmy"), ("month-first", "mdy"))
        ]
        look.questions.append(
            Question(
                "dates",
                f"no date of the file has a number above 12 first or second, as in {text!r}",
                tuple(readings),
            )
        )
    look.profile = look.profile.with_answers(time_format=forms[0])
    look.say("time", _ORDERS.get(forms[0], "as a date and a time"))


def _day_or_month(look: Look) -> list[Any]:
    """Days before months, or after, as every date of the file tells together."""
    first = second = 0
    for block in look.source.blocks([look.profile.time.split(" + ")[0].strip()]):
        for column in block.columns.values():
            found = pc.extract_regex(pc.cast(column, pa.string()), r"^\s*(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.]")
            numbers = [
                np.asarray(
                    pc.cast(
                        pc.if_else(
                            pc.equal(pc.fill_null(pc.struct_field(found, [i]), ""), ""),
                            "0",
                            pc.struct_field(found, [i]),
                        ),
                        pa.int64(),
                    )
                )
                for i in (0, 1)
            ]
            first, second = max(first, int(numbers[0].max(initial=0))), max(second, int(numbers[1].max(initial=0)))
    if first > 12 and second <= 12:
        return ["dmy"]
    return ["mdy"] if second > 12 and first <= 12 else []


def _reading(text: str, form: Any, zone: str = "UTC") -> str:
    read = clock.read_times(pa.array([text]), form)
    if read.micros[0] == clock.UNREADABLE:
        return "unreadable"
    local = read.local
    offset = fixed_offset(zone)
    micros = int(local[0] - offset * clock.MICROS if offset is not None else clock.in_zone(local, zone)[0][0])
    return f"{text} is {times.iso(micros // clock.MICROS)}"


def _ask_zone(look: Look, sample: pa.Array) -> None:
    """A wall clock's zone is asked for, unless the profile says it; days have dates and need none."""
    profile = look.profile
    if profile.zone:
        look.why["zone"] = (profile.zone, look.who_says("zone"))
        return
    read = clock.read_times(sample, profile.time_format or "epoch", profile.unit, look.named.day)
    readable = read.micros != clock.UNREADABLE
    is_wall = readable & (~read.is_utc | profile.wall_epoch)
    # How long the bars are is asked first: days need neither zone nor stamp.
    is_day = look.step in (0, 86_400) and bool((read.local[readable] % clock.DAY == 0).all())
    if not is_wall.any() or (is_day and not profile.wall_epoch):
        return
    if profile.wall_epoch or profile.time_format in clock.COUNTED or not pa.types.is_string(sample.type):
        micros = int(read.local[np.flatnonzero(is_wall)[0]])
        text, form = times.iso(micros // clock.MICROS).removesuffix("+00:00").replace("T", " "), "ymd"
    else:
        text, form = sample[int(np.flatnonzero(is_wall)[0])].as_py(), profile.time_format
    choices = tuple(Choice(f"--zone {zone}", _reading(text, form, zone)) for zone in _ZONES)
    look.questions.append(
        Question("zone", f"times such as {text!r} are a wall clock's, and nothing says in which zone", choices)
    )
    look.profile = profile.with_answers(zone="UTC")


def _ask_stamp(look: Look, sample: pa.Array) -> None:
    """Whether a time is the open of its bar or its end is asked, unless profile, name or a bare date tells."""
    profile = look.profile
    if profile.stamp:
        look.why["stamp"] = (f"the bar's {_STAMPS[profile.stamp]}", look.who_says("stamp"))
        return
    name = names.plain(profile.time.split(" + ")[0])
    if "stamp" not in profile.asks and name in names.BEGINS:
        look.profile = profile.with_answers(stamp="open")
        look.why["stamp"] = ("the bar's open", f"{profile.time!r} names the beginning")
        return
    read = clock.read_times(sample, profile.time_format or "epoch", profile.unit, look.named.day)
    readable = read.micros != clock.UNREADABLE
    bare = profile.time_format not in ("epoch",) and bool((read.local[readable] % clock.DAY == 0).all())
    if "stamp" not in profile.asks and look.step in (0, 86_400) and bare:
        look.profile = profile.with_answers(stamp="open")
        return
    first = int(read.micros[np.flatnonzero(readable)[0]]) // clock.MICROS if readable.any() else 0
    bar = f"the bar of {_told(first)}"
    ended = f"opens at {_told(first - look.step)}" if look.step else "ends then"
    readings = f"{bar} opens at {_told(first)}", f"{bar} {ended}"
    choices = tuple(Choice(f"--stamp {which}", reading) for which, reading in zip(_STAMPS, readings, strict=True))
    look.questions.append(Question("stamp", "nothing says whether a time is the open of its bar or its end", choices))
    look.profile = look.profile.with_answers(stamp="open")


def _told(epoch: int) -> str:
    try:
        return times.iso(epoch)
    except (ValueError, OverflowError, OSError):
        return str(epoch)
