"""Profiles: each recognises a file of its exact form and reads it right; no damage is read wrong in silence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffe_core.errors import InputError
from ffe_core.files.found import Look
from ffe_core.files.look import Looker
from ffe_core.files.opening import Opened
from ffe_core.files.plan import found_files
from ffe_core.files.profile import Profiles, read_profile, shipped
from ffe_core.validation import validate_columns
from tests.files.making import FORMS, STEPS, Candle, Form, candles, lines, zipped

IDS = [f"{one.profile}-{number}" for number, one in enumerate(FORMS)]
UNTESTED = re.compile("lean-.*")
"""LEAN's profiles are one form in several clocks and scales; some of each kind have a file here."""


def looked(path: Path, form: Form, **answers: Any) -> Look:
    with Opened(path, 10) as opened:
        [part] = opened.parts()
        return Looker(shipped(), None, {**form.answers, **answers}).look(opened.content(part), form.timeframe)


def read(look: Look) -> tuple[dict[int, tuple[float, ...]], list[tuple[int, list[str]]]]:
    """Candles by their open, and the place and reasons of each row that is none."""
    found: dict[int, tuple[float, ...]] = {}
    dead: list[tuple[int, list[str]]] = []
    for rows in look.reader().rows():
        checked = validate_columns(rows.open_times, rows.columns, rows.flags, look.step, rows.record)
        table = checked.candles.to_pydict()
        opened = [int(at.timestamp()) for at in table["timestamp"]]
        found |= dict(
            zip(opened, zip(*(table[n] for n in ("open", "high", "low", "close", "volume")), strict=True), strict=True)
        )
        dead += [
            (failure.record.get("line", failure.record.get("row")), failure.reasons) for failure in checked.failures
        ]
        dead += [(line, ["line_broken"]) for line, _ in rows.broken]
    return found, sorted(dead)


def expected(form: Form, candles: list[Candle]) -> dict[int, tuple[float, ...]]:
    return {one.at: (*one.values[:4], one.volume if form.has_volume else 0.0) for one in candles}


def same(found: dict[int, tuple[float, ...]], wanted: dict[int, tuple[float, ...]]) -> None:
    assert found.keys() == wanted.keys()
    for at, values in wanted.items():
        np.testing.assert_allclose(found[at], values, rtol=1e-12)


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_a_file_of_the_form_is_recognised_and_read_right(form: Form, tmp_path: Path) -> None:
    look = looked(form.write(tmp_path), form)
    assert look.profile.name == form.profile
    assert look.questions == []
    found, dead = read(look)
    assert dead == []
    same(found, expected(form, form.candles))
    if form.pair:
        assert look.named.pair.replace("_", "").upper() == form.pair


@pytest.mark.parametrize("form", [one for one in FORMS if one.answers], ids=lambda one: one.profile)
def test_what_a_form_never_tells_is_asked_and_not_guessed(form: Form, tmp_path: Path) -> None:
    bare = Form(form.profile, form.path, form.timeframe, form.make)
    look = looked(bare.write(tmp_path), bare)
    assert look.questions
    assert {question.code for question in look.questions} & form.answers.keys()
    assert all(len(question.choices) >= 2 for question in look.questions)


def test_every_profile_that_ships_has_a_file_here() -> None:
    tested = {one.profile for one in FORMS}
    untested = {name for name in shipped() if name not in tested and not UNTESTED.fullmatch(name)}
    assert not untested


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_profile_is_a_file_that_reads_back(name: str) -> None:
    profile = shipped()[name]
    assert read_profile(profile.as_toml(), name) == profile
    assert profile.about


def counted(path: Path, profile: str, timeframe: str) -> Look:
    with Opened(path, 10) as opened:
        return Looker(shipped(), shipped()[profile], {}).look(opened.content(opened.parts()[0]), timeframe)


def test_a_file_of_a_day_is_read_by_the_day_of_its_name_wherever_it_lies(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == "lean-equity-usa-trade-minute")
    path = tmp_path / "moved.zip"
    path.write_bytes(zipped({"20240115_aapl_minute_trade.csv": form.make(form.candles)}))
    look = counted(path, form.profile, "1m")
    same(read(look)[0], expected(form, form.candles))
    assert (look.named.pair, look.named.timeframe) == ("AAPL", "1m")


@pytest.mark.parametrize("profile", ["lean-equity-usa-trade-minute", "dukascopy-bi5"])
def test_times_that_count_from_a_day_nothing_names_are_no_times(profile: str, tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == profile)
    path = tmp_path / ("moved" + Path(form.path).suffix)
    path.write_bytes(form.packed(form.make(form.candles)))
    with pytest.raises(InputError, match=f"{path.name}.*its path does not say"):
        counted(path, profile, "1m")


def test_what_prices_are_multiplied_by_is_asked_where_the_pair_does_not_tell(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == "dukascopy-bi5")
    moved = Form("", "BTCUSD/2024/00/15/BID_candles_min_1.bi5", "1m", form.make)
    path = moved.write(tmp_path)
    [question] = looked(path, moved).questions
    assert [one.option for one in question.choices] == [
        "--profile dukascopy-bi5",
        "--profile dukascopy-bi5-thousandths",
    ]
    same(read(counted(path, "dukascopy-bi5", "1m"))[0], expected(moved, moved.candles))


@pytest.mark.parametrize("days", [7, 31])
def test_bars_of_weeks_and_months_are_no_days(days: int, tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == "alpha-vantage" and one.timeframe == "1d")
    apart = [Candle(one.at + place * (days - 1) * 86_400, *one.values) for place, one in enumerate(form.candles)]
    with pytest.raises(InputError, match=f"lie {days} days apart"):
        looked(form.write(tmp_path, form.make([one for one in apart if one.at < 1_760_000_000])), form)


def test_what_lies_beside_candles_is_left_alone(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == "histdata-ascii")
    report = b"HistData.com Status report.\r\n\r\nGap of 64s found between 20240114170019 and 20240114170123.\r\n"
    path = tmp_path / "HISTDATA_COM_ASCII_EURUSD_M1_2024.zip"
    path.write_bytes(zipped({form.path: form.make(form.candles), "DAT_ASCII_EURUSD_M1_2024.txt": report}))
    with Opened(path, 10) as opened:
        assert [part.member for part in opened.parts()] == [form.path]
    beside = (
        "DAT_ASCII_EURUSD_M1_2024.txt", "x.zip.CHECKSUM", "symbology.json", "metadata.json",
        "BTC_USDT_USDT-8h-funding_rate.feather", "equity/usa/factor_files/aapl.csv", "__MACOSX/._a.csv",
    )  # fmt: skip
    for name in (*beside, form.path):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).write_bytes(b"x")
    assert [one.name for one in found_files([tmp_path / "all"])] == [form.path]


def test_a_last_line_that_is_no_row_cuts_none_though_it_has_no_end(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == "barchart")
    content = form.make(form.candles).rstrip(b"\r\n")
    assert content.endswith(b'CDT"')
    found, dead = read(looked(form.write(tmp_path, content), form))
    assert dead == []
    same(found, expected(form, form.candles))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("book.xlsx", zipped({"xl/workbook.xml": b"<x/>"}), "is a workbook or an archive"),
        ("error.csv", b'{\n    "Information": "25 requests per day"\n}', "is no list of rows"),
        ("nested.json", b'{"candles": [{"start": "1705330800", "open": "1"}]}', "is no list of rows"),
    ],
)
def test_what_is_no_file_of_rows_says_so(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name} {says}"):
        counted(path, "yahoo", "1d")


def test_days_and_months_are_asked_about_by_a_date_that_reads_in_two_ways(tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_bytes(
        lines(
            [f"0{day}/0{day}/2024,100,103,97,101,9" for day in (4, 5, 6)] + ["07/04/2024,100,103,97,101,9"],
            "Date,Open,High,Low,Close,Volume",
        )
    )
    with Opened(path, 10) as opened:
        [question] = Looker(shipped(), None, {}).look(opened.content(opened.parts()[0]), "1d").questions
    assert [one.reading[-25:] for one in question.choices] == ["2024-04-07T00:00:00+00:00", "2024-07-04T00:00:00+00:00"]


# -- damage

TEXTS = [one for one in FORMS if one.is_text]
TEXT_IDS = [f"{one.profile}-{number}" for number, one in enumerate(FORMS) if one.is_text]


def parts_of(form: Form) -> tuple[list[bytes], list[bytes]]:
    """The lines before the rows, and the rows, each with its end."""
    everything = form.make(form.candles).splitlines(keepends=True)
    rows = [
        line
        for line in everything
        if re.match(rb'[\xef\xbb\xbf]*"?(?:AAPL|BTC-USDT|AAPL.US)?[,"]*\d|"[A-Z][a-z]{2} \d', line)
    ]
    rows += [line for line in everything if re.match(rb"AAPL|BTC-USDT", line) and line not in rows]
    before = everything[: everything.index(rows[0])]
    return before, everything[len(before) : len(before) + len(rows)]


def never_silently_wrong(look: Look, form: Form, lost: int) -> list[tuple[int, list[str]]]:
    """What was read is right; what is missing of it is a dead letter with its line."""
    assert look.questions == []
    found, dead = read(look)
    wanted = expected(form, form.candles)
    for at, values in found.items():
        assert at in wanted, "a bar that the file does not hold"
        np.testing.assert_allclose(values, wanted[at], rtol=1e-12)
    assert len(wanted) - len(found) <= lost
    assert len(dead) >= len(wanted) - len(found)
    assert all(line for line, _ in dead)
    return dead


@pytest.mark.parametrize("form", TEXTS, ids=TEXT_IDS)
def test_a_file_that_breaks_off_within_a_line_keeps_that_line_as_a_dead_letter(form: Form, tmp_path: Path) -> None:
    before, rows = parts_of(form)
    cut = rows[-1].rstrip(b"\r\n")
    content = b"".join([*before, *rows[:-1], cut[: len(cut) * 2 // 3]])
    dead = never_silently_wrong(looked(form.write(tmp_path, content), form), form, 1)
    assert len(dead) == 1
    assert dead[0][0] == len(before) + len(rows)


@pytest.mark.parametrize(
    "form", [one for one in TEXTS if not shipped()[one.profile].ends_without_newline], ids=lambda one: one.profile
)
def test_a_last_line_without_its_end_may_be_a_part_and_is_kept_apart(form: Form, tmp_path: Path) -> None:
    before, rows = parts_of(form)
    content = b"".join([*before, *rows]).rstrip(b"\r\n")
    dead = never_silently_wrong(looked(form.write(tmp_path, content), form), form, 1)
    assert dead
    assert "cut_line" in dead[-1][1]


@pytest.mark.parametrize("form", TEXTS, ids=TEXT_IDS)
def test_a_header_in_the_middle_is_no_row(form: Form, tmp_path: Path) -> None:
    before, rows = parts_of(form)
    header = (before or [b"time,open,high,low,close,volume\n"])[-1]
    content = b"".join([*before, *rows[:5], header, *rows[5:]])
    dead = never_silently_wrong(looked(form.write(tmp_path, content), form), form, 0)
    assert [line for line, _ in dead] == [len(before) + 6]


@pytest.mark.parametrize("form", TEXTS, ids=TEXT_IDS)
def test_no_number_among_the_prices_is_no_row(form: Form, tmp_path: Path) -> None:
    before, rows = parts_of(form)
    separator = shipped()[form.profile].delimiter.encode() or (b"\t" if b"\t" in rows[4] else b",")
    cells = rows[4].rstrip(b"\r\n").split(separator)
    place = max(i for i, cell in enumerate(cells[:6]) if re.fullmatch(rb'"?[\d.]+"?', cell))
    if b'"' in rows[4]:
        pytest.skip("quoted cells are cut elsewhere")
    cells[place] = b"NaN"
    content = b"".join([*before, *rows[:4], separator.join(cells) + b"\n", *rows[5:]])
    look = looked(form.write(tmp_path, content), form)
    found, dead = read(look)
    wanted = expected(form, form.candles)
    assert all(np.allclose(values, wanted[at]) for at, values in found.items())
    assert len(found) + len(dead) >= len(wanted)


@pytest.mark.parametrize("form", TEXTS, ids=TEXT_IDS)
def test_thousands_where_the_file_writes_none_are_no_number(form: Form, tmp_path: Path) -> None:
    before, rows = parts_of(form)
    separator = shipped()[form.profile].delimiter.encode() or (b"\t" if b"\t" in rows[0] else b",")
    if b'"' in rows[4]:
        pytest.skip("this form writes them")
    cells = rows[4].rstrip(b"\r\n").split(separator)
    clean = looked(form.write(tmp_path), form)
    place = list(clean.source.names).index(clean.profile.prices["high"])
    cells[place] = b'"1,234.5"'
    content = b"".join([*before, *rows[:4], separator.join(cells) + b"\n", *rows[5:]])
    look = looked(form.write(tmp_path, content), form)
    found, dead = read(look)
    if look.profile.thousands == ",":  # nothing in the file speaks against it: it says 1234.5
        [odd] = {at for at, values in expected(form, form.candles).items() if at in found and found[at] != values}
        assert found[odd][1] == 1234.5 / look.profile.price_divisor
    else:
        never_silently_wrong(look, form, 1)
        assert [reasons for _, reasons in dead] == [["not_a_number:high"]]


@pytest.mark.parametrize(
    "form", [one for one in TEXTS if shipped()[one.profile].symbol_column], ids=lambda one: one.profile + one.path
)
def test_a_line_of_another_symbol_is_asked_about(form: Form, tmp_path: Path) -> None:
    before, rows = parts_of(form)
    other = re.sub(rb"AAPL.US|AAPL|BTC-USDT|BTC/USD|BTCUSD|ESH1", b"OTHER", rows[3])
    content = b"".join([*before, *rows[:3], other, *rows[4:]])
    path = form.write(tmp_path, content)
    [question] = looked(path, form).questions
    assert question.code == "symbol"
    own = question.choices[0].option.removeprefix("--symbol ")
    look = looked(path, form, symbol=own, other_symbols="left out")
    assert sum(rows.left_out for rows in look.reader().rows()) == 1
    assert len(read(look)[0]) == len(rows) - 1


@pytest.mark.parametrize(
    "form",
    [one for one in TEXTS if shipped()[one.profile].time_format == "epoch" and not shipped()[one.profile].unit],
    ids=lambda one: one.profile + one.path,
)
def test_each_row_has_its_own_unit_of_time(form: Form, tmp_path: Path) -> None:
    before, rows = parts_of(form)
    mixed = [
        re.sub(rb"(?<!\d)(1[67]\d{8})(?:000){1,2}(?!\d)", rb"\g<1>000000", row) if i % 2 else row
        for i, row in enumerate(rows)
    ]
    dead = never_silently_wrong(looked(form.write(tmp_path, b"".join([*before, *mixed])), form), form, 0)
    assert dead == []


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_an_empty_file_holds_no_rows(form: Form, tmp_path: Path) -> None:
    look = looked(form.write(tmp_path, b""), form) if not form.path.endswith((".feather", ".parquet")) else None
    if look is None:
        path = tmp_path / form.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        look = looked(path, form)
    assert look.content.size == 0
    assert look.questions == []


def test_two_members_of_an_archive_are_two_parts(tmp_path: Path) -> None:
    form = FORMS[0]
    half = len(form.candles) // 2
    path = tmp_path / form.path
    path.write_bytes(zipped({"a.csv": form.make(form.candles[:half]), "b.csv": form.make(form.candles[half:])}))
    with Opened(path, 10) as opened:
        looks = [Looker(shipped(), None, {}).look(opened.content(part), form.timeframe) for part in opened.parts()]
        found = {at: values for look in looks for at, values in read(look)[0].items()}
    same(found, expected(form, form.candles))


def test_profiles_that_were_kept_win_and_are_listed(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path)
    profile = shipped()["metatrader4"].with_answers(name="my-broker", zone="UTC+2", asks=[])
    profiles.save(profile)
    assert profiles.get("my-broker") == profile
    assert "metatrader4" in profiles.all()
    with pytest.raises(InputError, match="ships with this release"):
        profiles.save(shipped()["metatrader4"])
    with pytest.raises(InputError, match="is unknown"):
        profiles.get("nothing")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("zone = 'Mars/Base'", "is no zone"),
        ("delimeter = ';'", "delimeter"),
        ("name = 'My broker'", "small letters"),
        ("stamp = 'middle'", "stamp"),
        ("= 3", "no TOML"),
    ],
)
def test_a_profile_that_cannot_be_says_why(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_profile(text, "mine.toml")


def test_every_timeframe_of_the_forms_is_one_there_is() -> None:
    assert {one.timeframe for one in FORMS} <= STEPS.keys()


# -- a local clock over its changes


ATHENS = "Europe/Athens"
SPRING, AUTUMN = 1711846800 - 8 * 3600, 1729990800 - 8 * 3600
"""Eight hours before the clocks of Athens change in 2024."""


def local_file(folder: Path, begin: int, without: int = -1, more: str = "") -> tuple[Path, Form]:
    def row(c: Candle) -> str:
        return f"{c.local(ATHENS):%Y.%m.%d,%H:%M},{c.open},{c.high},{c.low},{c.close},{c.volume:.0f}"

    found = candles("1h", begin)
    rows = [row(one) for place, one in enumerate(found) if place != without] + ([more] if more else [])
    form = Form("metatrader4", "EURUSD60.csv", "1h", lambda _: lines(rows), {"zone": ATHENS})
    return form.write(folder), form


@pytest.mark.parametrize("begin", [SPRING, AUTUMN])
def test_a_local_clock_is_read_over_both_its_changes(begin: int, tmp_path: Path) -> None:
    found, dead = read(looked(*local_file(tmp_path, begin)))
    assert dead == []
    same(found, {one.at: one.values for one in candles("1h", begin)})


def test_an_hour_of_which_one_of_two_is_missing_is_a_dead_letter_with_its_line(tmp_path: Path) -> None:
    twice = next(
        place
        for place, one in enumerate(candles("1h", AUTUMN))
        if one.local(ATHENS).hour == Candle(one.at + 3600, *one.values).local(ATHENS).hour
    )
    found, dead = read(looked(*local_file(tmp_path, AUTUMN, without=twice + 1)))
    assert dead == [(twice + 1, ["time_ambiguous"])]
    assert len(found) == len(candles("1h")) - 2


def test_an_hour_that_the_clock_never_showed_is_a_dead_letter(tmp_path: Path) -> None:
    found, dead = read(looked(*local_file(tmp_path, SPRING, more="2024.03.31,03:30,100,103,97,101,9")))
    assert [reasons for _, reasons in dead] == [["time_skipped"]]
    assert len(found) == len(candles("1h"))


def test_a_time_to_come_is_a_dead_letter(tmp_path: Path) -> None:
    found, dead = read(looked(*local_file(tmp_path, SPRING, more="2124.03.31,05:00,100,103,97,101,9")))
    assert [reasons for _, reasons in dead] == [["in_future"]]
    assert len(found) == len(candles("1h"))


def test_a_row_of_another_symbol_that_is_broken_too_keeps_both_reasons(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == "okx-candles")
    before, rows = parts_of(form)
    cells = rows[3].replace(b"BTC-USDT", b"OTHER").split(b",")
    bad = b",".join([*cells[:2], b"x", *cells[3:]])
    _, dead = read(looked(form.write(tmp_path, b"".join([*before, *rows[:3], bad, *rows[4:]])), form))
    assert dead == [(5, ["other_symbol", "not_a_number:high"])]
