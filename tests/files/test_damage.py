"""Damage of every form that a profile reads: what is read of a file is right, the rest is refused or a dead letter.

The kinds that text alone can have, and those of single forms, stand in `test_profiles`.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from ffe_core.errors import InputError
from ffe_core.files.forms.binary import _DBN
from ffe_core.files.look import Look, Looker
from ffe_core.files.opening import Opened, refused
from ffe_core.files.plan import PlannedFile, PlannedPart
from ffe_core.files.profile import shipped
from ffe_core.files.reader import Known
from ffe_core.files.recognise import Named
from ffe_core.ingestion.file_import import FileImport
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.stores import Stores
from tests.files.making import FORMS, NY, STEPS, Form, candles, zipped
from tests.files.test_profiles import IDS, TEXT_IDS, TEXTS, expected, parts_of, read, same

Values = dict[int, tuple[float, ...]]
NEW_YORK = (1_710_054_000, 1_730_613_600)
"""When the clocks of New York change in March and November of 2024."""
BERLIN = (1_711_846_800, 1_729_990_800)


def looks(path: Path, form: Form) -> Iterator[Look]:
    """Each part of a file, looked at. InputError for one that cannot be read."""
    with Opened(path, 10) as opened, refused(path):
        for part in opened.parts():
            yield Looker(shipped(), None, form.answers).look(opened.content(part), form.timeframe)


def names_it(problem: str, path: Path) -> None:
    assert path.name in problem


def right_or_told(path: Path, form: Form, wanted: Values, told: int) -> None:
    """What is read is right. What is not is refused, asked about, or at least `told` dead letters with their places."""
    found: Values = {}
    dead = []
    try:
        for look in looks(path, form):
            if look.questions:
                return
            some, others = read(look)
            found |= some
            dead += others
    except InputError as error:
        names_it(error.problem, path)
        return
    for at, values in found.items():
        assert at in wanted, "a bar that the file does not hold"
        np.testing.assert_allclose(values, wanted[at], rtol=1e-12)
    assert len(dead) >= told
    assert all(place for place, _ in dead)
    assert len(found) + len(dead) >= len(wanted)


def write(form: Form, folder: Path, content: bytes) -> Path:
    """The bytes as they are, under the form's name."""
    path = folder / form.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", [one for one in FORMS if not one.is_text or one.path.endswith((".zip", ".gz"))])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_packed_or_binary_file_that_breaks_off_is_refused_or_told(form: Form, share: float, tmp_path: Path) -> None:
    whole = form.packed(form.make(form.candles))
    path = write(form, tmp_path, whole[: int(len(whole) * share)])
    try:
        [look] = looks(path, form)
    except InputError as error:
        names_it(error.problem, path)
        return
    assert form.path.endswith((".dbn", ".json")), "a file that was cut was taken for whole"
    found, dead = read(look)
    wanted = expected(form, form.candles)
    assert all(np.allclose(values, wanted[at]) for at, values in found.items())
    assert dead


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_two_members_in_a_zip_are_two_parts(form: Form, tmp_path: Path) -> None:
    half = len(form.candles) // 2
    halves = [form.make(form.candles[:half]), form.make(form.candles[half:])]
    if form.path.endswith(".zip"):
        path = write(form, tmp_path, zipped({f"{name}.csv": made for name, made in zip("ab", halves, strict=True)}))
    else:
        members = {f"{name}/{form.path}": form.packed(made) for name, made in zip("ab", halves, strict=True)}
        path = write(replace(form, path="both.zip"), tmp_path, zipped(members))
    found: Values = {}
    for look in looks(path, form):
        assert look.profile.name == form.profile
        assert look.questions == []
        found |= read(look)[0]
    same(found, expected(form, form.candles))


def cells_of(form: Form, row: bytes) -> tuple[bytes, list[bytes]]:
    """The separator and the cells of a row, quotes with them."""
    separator = shipped()[form.profile].delimiter.encode() or (b"\t" if b"\t" in row else b",")
    pattern = rb'"[^"]*"|[^%s]+' % re.escape(separator)
    return separator, re.findall(pattern, row.rstrip(b"\r\n"))


def with_cell(form: Form, what: str, text: bytes, tmp_path: Path) -> Path:
    """The file with a cell of its fifth row replaced: that of a price, or the first of the time."""
    before, rows = parts_of(form)
    [look] = looks(form.write(tmp_path), form)
    names = list(look.source.names)
    separator, cells = cells_of(form, rows[4])
    column = look.profile.prices["high"] if what == "high" else look.profile.time.split(" + ")[0]
    cells[names.index(column)] = text
    return form.write(tmp_path, b"".join([*before, *rows[:4], separator.join(cells) + b"\n", *rows[5:]]))


@pytest.mark.parametrize("text", [b"NaN", b'"NaN"', b"inf", b"-", b"1.0.0", b"0x10"])
@pytest.mark.parametrize("form", TEXTS, ids=TEXT_IDS)
def test_what_is_no_number_is_told_in_every_text(form: Form, text: bytes, tmp_path: Path) -> None:
    path = with_cell(form, "high", text, tmp_path)
    right_or_told(path, form, expected(form, form.candles), 1)


@pytest.mark.parametrize("text", [*(b"1705330800" + b"0" * zeros for zeros in (0, 3, 6, 9)), b"20240115"])
@pytest.mark.parametrize("form", TEXTS, ids=TEXT_IDS)
def test_a_time_in_another_unit_is_the_same_instant_or_told(form: Form, text: bytes, tmp_path: Path) -> None:
    """The instant is that of the first row: a repeat, as it differs, is superseded, or the time cannot be."""
    path = with_cell(form, "time", text, tmp_path)
    wanted = expected(form, form.candles)
    fifth = form.candles[4]
    try:
        [look] = looks(path, form)
    except InputError:
        return
    if look.questions:
        return
    found, dead = read(look)
    for at, values in found.items():
        if at not in wanted or not np.allclose(values, wanted[at]):
            # Only the row that was changed may stand elsewhere, and only at the instant that its text says.
            assert values == pytest.approx(expected(form, [fifth])[fifth.at])
            assert at in said_by(text, form)
    assert len(found) + len(dead) >= len(wanted) - 1


def said_by(text: bytes, form: Form) -> set[int]:
    """The bars that a time can mean: an epoch or a day, by whatever clock and stamp a form has."""
    step, number = STEPS[form.timeframe], int(text)
    epochs = {number // scale for scale in (1, 10**3, 10**6, 10**9)} | {1_705_276_800}
    near = {at + hours * 3600 for at in epochs for hours in range(-14, 15)}
    return {at - back for at in near for back in (0, step)} | {at // step * step for at in near}


@pytest.mark.parametrize("change", [*NEW_YORK, *BERLIN])
@pytest.mark.parametrize("form", [one for one in FORMS if one.timeframe != "1d"], ids=str)
def test_a_form_is_read_over_changes_of_the_clock(form: Form, change: int, tmp_path: Path) -> None:
    made = candles(form.timeframe, change - 8 * STEPS[form.timeframe])
    if "bi5" in form.profile:
        pytest.skip("its seconds count from a day of UTC that its maker is given")
    zones = {"equity-usa": NY, "fxcm": "Etc/GMT+5"}
    local = made[0].local(next((zone for name, zone in zones.items() if name in form.profile), "UTC"))
    here = replace(form, path=form.path.replace("20240115_", f"{local:%Y%m%d}_"))
    path = write(here, tmp_path, form.packed(form.make(made)))
    [look] = looks(path, here)
    assert look.questions == []
    found, dead = read(look)
    wanted = expected(form, made)
    same(found, {at: wanted[at] for at in found})
    assert {reason for _, reasons in dead for reason in reasons} <= {"time_ambiguous"}
    assert len(found) + len(dead) == len(wanted)
    if form.timeframe == "1h" or change != NEW_YORK[1]:  # of an hour shown twice a few minutes are there once
        assert dead == []


def dbn_row(content: bytes, row: int, **fields: int) -> bytes:
    """DBN with fields of one of its records replaced."""
    begin = 8 + struct.unpack_from("<I", content, 4)[0]
    rows = np.frombuffer(content[begin:], _DBN).copy()
    for name, value in fields.items():
        rows[row][name] = value
    return content[:begin] + rows.tobytes()


def test_a_record_of_another_instrument_is_asked_about_in_dbn(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == "databento-dbn")
    path = write(form, tmp_path, dbn_row(form.make(form.candles), 3, instrument_id=7))
    [look] = looks(path, form)
    assert [one.code for one in look.questions] == ["symbol"]


def test_a_price_that_is_none_is_told_in_dbn(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.profile == "databento-dbn")
    path = write(form, tmp_path, dbn_row(form.make(form.candles), 4, high=2**63 - 1))
    [look] = looks(path, form)
    found, dead = read(look)
    assert dead == [(5, ["missing_field:high"])]
    wanted = expected(form, form.candles)
    same(found, {at: values for at, values in wanted.items() if at != form.candles[4].at})


def test_each_row_has_its_own_unit_of_time_in_json(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.path.endswith(".json"))
    rows = json.loads(form.make(form.candles))
    for place, scale in ((3, 1 / 1000), (5, 1000), (7, 1_000_000)):
        rows[place][0] = round(rows[place][0] * scale)
    [look] = looks(write(form, tmp_path, json.dumps(rows).encode()), form)
    found, dead = read(look)
    assert dead == []
    same(found, expected(form, form.candles))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_table_has_one_unit_of_time_whichever_it_is(unit: str, tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.path.endswith("futures.parquet"))

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("date")
        return table.set_column(place, "date", table["date"].cast(pa.timestamp(unit, "UTC")))

    [look] = looks(write(form, tmp_path, tables(form, change)), form)
    same(read(look)[0], expected(form, form.candles))


def tables(form: Form, change: Callable[[pa.Table], pa.Table]) -> bytes:
    """A binary table changed, as it was packed."""
    content = io.BytesIO(form.make(form.candles))
    out = io.BytesIO()
    if form.path.endswith(".feather"):
        feather.write_feather(change(feather.read_table(content)), out, compression="lz4")
    else:
        pq.write_table(change(pq.read_table(content)), out)
    return out.getvalue()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
@pytest.mark.parametrize(
    "form", [one for one in FORMS if one.profile.startswith("freqtrade") and not one.path.endswith("json")], ids=str
)
def test_what_is_no_number_is_told_in_every_table(form: Form, value: float | None, tmp_path: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        highs = table["high"].to_pylist()
        return table.set_column(2, "high", pa.array([*highs[:4], value, *highs[5:]]))

    assert form.make(form.candles)
    path = write(form, tmp_path, tables(form, change))
    right_or_told(path, form, expected(form, form.candles), 1)


def test_what_is_no_number_is_told_in_json(tmp_path: Path) -> None:
    form = next(one for one in FORMS if one.path.endswith(".json"))
    rows = json.loads(form.make(form.candles))
    for value in ("NaN", None, "x", {"a": 1}):
        rows[4][2] = value
        right_or_told(write(form, tmp_path, json.dumps(rows).encode()), form, expected(form, form.candles), 1)
    rows[4][2] = float("nan")
    right_or_told(write(form, tmp_path, json.dumps(rows).encode()), form, expected(form, form.candles), 1)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    settings = Settings.load({"data_dir": str(tmp_path / "data")})
    return Stores(settings, DeltaLakeManager(settings.lake_uri))


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_a_file_with_a_wrong_checksum_beside_it_is_refused(form: Form, stores: Stores, tmp_path: Path) -> None:
    path = form.write(tmp_path)
    [look] = looks(path, form)
    with Opened(path, 10) as opened:
        [part] = opened.parts()
    planned = PlannedFile(path, (PlannedPart(part, look.profile, Named(), Known()),))
    for suffix in (".CHECKSUM", ".sha256"):
        beside = path.with_name(path.name + suffix)
        beside.write_text(f"{'0' * 64}  {path.name}\n")
        report = FileImport(Series("BTCUSD", form.timeframe, "files:damage"), stores).run([planned])
        beside.unlink()
        assert "is not what" in (report.error_text or "")
        assert (report.counts.received, report.counts.stored) == (0, 0)


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_whatever_is_packed_in_it_a_file_of_nothing_but_noise_is_told(form: Form, tmp_path: Path) -> None:
    noise = np.random.default_rng(7).bytes(5000)
    packed = [noise, gzip.compress(noise), zipped({"a.csv": noise})]
    for content in packed:
        path = write(form, tmp_path, content)
        try:
            [look] = looks(path, form)
        except InputError as error:
            names_it(error.problem, path)
            continue
        if not look.questions and not look.is_empty:
            assert read(look)[0] == {}


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    form = FORMS[0]
    whole = bytearray(form.packed(form.make(form.candles)))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        crc = archive.infolist()[0].CRC.to_bytes(4, "little")
    whole = bytearray(bytes(whole).replace(crc, bytes(4)))
    with pytest.raises(InputError, match="cannot be read to its end"):
        list(looks(write(form, tmp_path, bytes(whole)), form))
