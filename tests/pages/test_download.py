"""Downloads: what an address asks for comes as a file, nothing stays behind, and nonsense is told, not thrown."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from ffe_core.exports.service import FORMS
from ffe_core.operations.console import ConsoleService
from pages.candles.download import MOST_SERIES, download

Get = Callable[..., httpx.Response]
DESCRIPTORS = Path("/proc/self/fd")
BTC = "series=BTCUSD/1h/simulated"
RANGE = "&start=1704067200&end=1704326400"
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799


@pytest.fixture
def get(backfilled: ConsoleService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Get:
    """`get("?query", **headers)`: what `/export` of a filled console answers; it writes to `tmp_path/temporary`."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    app = Starlette(routes=[Route("/export", download)])

    async def asked(query: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as client:
            return await client.get(f"/export?{query}", headers=headers)

    return lambda query, **headers: asyncio.run(asked(query, headers))


def left_behind(tmp_path: Path) -> list[str]:
    """Files that are still there, and those that are gone and still held open."""
    held = [os.readlink(one) for one in DESCRIPTORS.iterdir() if one.is_symlink()] if DESCRIPTORS.is_dir() else []
    return [*os.listdir(tmp_path / "temporary"), *(name for name in held if "ffe-export" in name)]


@pytest.mark.parametrize("kind", ["parquet", "csv", "sheet"])
def test_an_export_leaves_no_file_and_no_descriptor_behind(get: Get, tmp_path: Path, kind: str) -> None:
    for _ in range(3):
        assert get(f"{BTC}{RANGE}&format={kind}").status_code == 200
    assert not left_behind(tmp_path)


def test_a_data_sheet_by_itself_claims_no_format(get: Get) -> None:
    sheet = get(f"{BTC}{RANGE}&format=sheet").json()
    assert sheet["rows"] == get(f"{BTC}{RANGE}&format=csv").text.count("\n") - 1
    assert "format" not in sheet


def test_a_pair_is_found_however_it_is_written(get: Get) -> None:
    stored = get(f"{BTC}{RANGE}&format=csv").text
    assert get(f"series=btc-usd/1h/simulated{RANGE}&format=csv").text == stored
    assert get(f"series=btc/usd/1h/simulated{RANGE}&format=csv").text == stored
    assert get(f"series=ETH-USD/1h/simulated{RANGE}&format=csv").status_code == 400


def test_a_part_that_is_not_there_leaves_nothing_behind_either(get: Get, tmp_path: Path) -> None:
    answer = get(f"{BTC}{RANGE}&format=csv", Range="bytes=999999999-")
    assert answer.status_code == 416
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("number", ["9" * 20, f"-{'9' * 14}", "9" * 5000, str(LAST_SECOND + 1), "1.5", "²", ""])
@pytest.mark.parametrize("field", ["start", "end"])
def test_a_time_that_cannot_be_is_named(get: Get, tmp_path: Path, field: str, number: str) -> None:
    other = {"start": "end", "end": "start"}[field]
    answer = get(f"{BTC}&format=csv&{field}={number}&{other}=1704067200")
    assert (answer.status_code, answer.text.partition(":")[0]) == (400, field)
    assert len(answer.text) < 200
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("number", ["9" * 25, f"-{'9' * 25}", "soon", ""])
def test_a_moment_that_cannot_be_is_named(get: Get, number: str) -> None:
    answer = get(f"{BTC}{RANGE}&format=csv&known={number}")
    assert (answer.status_code, answer.text.partition(":")[0]) == (400, "known")


@pytest.mark.parametrize("kind", ["parquet", "csv", "sheet"])
def test_all_of_time_can_be_asked_for(get: Get, kind: str) -> None:
    known = f"{LAST_SECOND}999999"
    answer = get(f"{BTC}&start={FIRST_SECOND}&end={LAST_SECOND}&format={kind}&known={known}")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) > 1000


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (1704153600, "2024-01-01"),
        (1704240000, "2024-01-01_2024-01-02"),
        (1704157200, "2024-01-01T0000Z_2024-01-02T0100Z"),
    ],
)
def test_the_name_of_a_file_says_its_range(get: Get, end: int, said: str) -> None:
    answer = get(f"{BTC}&start=1704067200&end={end}&format=csv")
    assert f'filename="BTCUSD-1h-simulated.{said}.csv"' in answer.headers["content-disposition"]


def test_the_name_of_a_file_says_as_of_when_its_bars_were_known(get: Get) -> None:
    known = 1_893_456_000
    answer = get(f"{BTC}{RANGE}&format=csv&known={known}000000")
    name = "BTCUSD-1h-simulated.2024-01-01_2024-01-03.known-2030-01-01T000000Z.csv"
    assert f'filename="{name}"' in answer.headers["content-disposition"]
    assert ".known-" not in get(f"{BTC}{RANGE}&format=csv").headers["content-disposition"]


@pytest.mark.parametrize(
    "query",
    ["", "series=", "series=a/b", "series=NOPE/1h/simulated", "series=BTCUSD/2h/x", "series=../../x/1h/simulated"],
)
def test_a_series_that_cannot_be_is_refused_with_the_reason(get: Get, query: str) -> None:
    answer = get(f"{query}{RANGE}")
    assert answer.status_code == 400
    assert answer.text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"{BTC}{RANGE}&start=1704067200", "start"),
        (f"{BTC}{RANGE}&format=csv&format=csv", "format"),
        ("&".join([BTC] * (MOST_SERIES + 1)) + RANGE, "series"),
        (f"series={'x' * 5000}{RANGE}", "series"),
        (f"{BTC}{RANGE}&format={'x' * 5000}", "format"),
        (f"{BTC}&start=1704326400&end=1704067200", "end"),
        (f"{BTC}&start=1704067200&end=1704067200", "end"),
        (f"{BTC}{RANGE}&formatt=csv", "'formatt'"),
        (f"{BTC}{RANGE}&{'x' * 5000}=1", "'xxxx"),
    ],
)
def test_parameters_that_are_unknown_repeated_too_long_or_the_wrong_way_round_are_refused_by_name(
    get: Get, tmp_path: Path, query: str, field: str
) -> None:
    answer = get(query)
    assert answer.status_code == 400
    assert answer.text.startswith(field)
    assert len(answer.text) < 200
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("form", list(FORMS))
def test_files_of_another_tool_come_as_one_zip(get: Get, tmp_path: Path, form: str) -> None:
    if form == "zipline":  # it has no hours
        assert "zipline has no room for 1h" in get(f"{BTC}{RANGE}&form={form}").text
        return
    answer = get(f"{BTC}{RANGE}&form={form}")
    assert answer.status_code == 200, answer.text
    assert f".{form}.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 1
    assert not left_behind(tmp_path)


def test_another_tools_files_hold_what_was_asked_for(get: Get) -> None:
    answer = get(f"{BTC}{RANGE}&form=vectorbt&size=2h")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["BTCUSD-2h.csv"]
        assert archive.read("BTCUSD-2h.csv").count(b"\n") == 37
    assert "has no bars in that range" in get(f"{BTC}{RANGE}&form=vectorbt&known=1").text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"{BTC}{RANGE}&form=excel", "form"),
        (f"{BTC}{RANGE}&form=arrow&size=7h", "size"),
        (f"{BTC}&start=1704326400&end=1704067200&form=arrow", "end"),
        (f"{RANGE[1:]}&form=arrow", "series"),
        (f"{BTC}&{BTC}{RANGE}&form=arrow", "series"),
    ],
)
def test_another_tools_files_that_cannot_be_are_told(get: Get, tmp_path: Path, query: str, field: str) -> None:
    answer = get(query)
    assert (answer.status_code, answer.text.partition(":")[0]) == (400, field)
    assert not left_behind(tmp_path)
