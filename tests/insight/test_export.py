"""Does a file that leaves the lake hold exactly what is in it, and does its data sheet say so?"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.calendars import AlwaysOpen
from ffe_core.candles import VALUES
from ffe_core.errors import InputError, StorageError
from ffe_core.insight.bars import LINEAGE, bars
from ffe_core.insight.export import SCHEMA, export
from ffe_core.insight.snippets import snippets
from ffe_core.series import Series
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS
from tests.insight.lakes import DAY, HOUR, JANUARY, as_dict, flat, put
from tests.lake_files import lake_path
from tests.pace import examples

BTC = Series("BTCUSD", "1h", "coinbase")
MINUTES = Series("ETHUSD", "1m", "simulated")
END = JANUARY + 70 * DAY


def crypto(series: Series) -> AlwaysOpen:
    return AlwaysOpen()


def moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // MICROS, UTC).replace(microsecond=micros % MICROS)


@pytest.fixture
def filled(lake, queue):
    """Two series over several partitions, with gaps, a restatement and a dead letter; the moment before that."""
    hours = [JANUARY + hour * HOUR for hour in range(48) if hour not in (5, 6, 9)]
    put(lake, BTC, flat([JANUARY - HOUR, *hours]), "a")
    put(lake, MINUTES, flat(range(JANUARY, JANUARY + 40 * DAY, 3600)), "b", is_mock=True)
    then = put(lake, BTC, flat([JANUARY + 49 * HOUR]), "c")
    put(lake, BTC, flat([JANUARY + 2 * HOUR], 150.0), "d")
    context = {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "coinbase"}
    queue.save([{"date": datetime.fromtimestamp(JANUARY + 9 * HOUR, UTC).isoformat()}], "validation_failed", context)
    return moment(then)


@pytest.mark.usefixtures("filled")
def test_a_parquet_file_equals_the_lake(lake, queue, tmp_path, monkeypatch):
    monkeypatch.setattr("ffe_core.insight.bars._PIECE_ROWS", 10)
    sheet = export(lake, queue, crypto, [BTC, MINUTES], JANUARY, END, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.equals(SCHEMA)
    wanted = []
    for series in (BTC, MINUTES):
        table = bars(lake, series, JANUARY, END, columns=["asset_pair", *VALUES, *LINEAGE])
        wanted.append(table.append_column("timeframe", pa.repeat(series.timeframe, len(table))).select(SCHEMA.names))
    assert found.equals(pa.concat_tables(wanted))
    assert sheet["rows"] == found.num_rows
    assert [path.name for path in tmp_path.glob("*out*")] == ["out.parquet"]


def test_the_data_sheet_says_what_is_in_the_file(lake, queue, filled):
    end = JANUARY + 50 * HOUR
    sheet = export(lake, queue, crypto, [BTC], JANUARY, end, io.BytesIO(), filled, marked_of=lambda _: [(0, END)])
    assert json.loads(json.dumps(sheet, allow_nan=False)) == sheet
    assert (sheet["start"], sheet["end"]) == ("2024-01-01T00:00:00+00:00", "2024-01-03T02:00:00+00:00")
    assert datetime.fromisoformat(sheet["as_known_at"]) == filled
    assert (sheet["format"], sheet["rows"], sheet["columns"]) == ("parquet", 46, SCHEMA.names)
    (described,) = sheet["series"]
    assert described == {
        "asset_pair": "BTCUSD",
        "timeframe": "1h",
        "source_provider": "coinbase",
        "is_mock": False,
        "volume_unit": "base units",
        "rows": 46,
        "first": "2024-01-01T00:00:00+00:00",
        "last": "2024-01-03T01:00:00+00:00",
        "table": "raw_market_data_1h",
        "table_version": lake.open(BTC.table).version(),
        "calendar": "crypto",
        "coverage": {
            "expected": 50,
            "stored": 46,
            "dead_lettered": 1,
            "marked": 3,
            "later": 0,
            "not_ingested": 0,
            "unexplained": 0,
            "extra": 0,
        },
        "gaps": [
            {"start": f"2024-01-0{day}T0{first}:00:00+00:00", "end": f"2024-01-0{day}T{last}:00:00+00:00"}
            | {"candles": candles, "kind": kind}
            for day, first, last, candles, kind in (
                (1, 5, "07", 2, "marked"),
                (1, 9, "10", 1, "dead_lettered"),
                (3, 0, "01", 1, "marked"),
            )
        ],
        "restated": 0,
        "restated_since": 1,
    }
    now = export(lake, queue, crypto, [BTC, MINUTES], JANUARY, end, io.BytesIO())
    assert now["as_known_at"] is None
    assert [one["restated"] for one in now["series"]] == [1, 0]
    assert [one["is_mock"] for one in now["series"]] == [False, True]


@pytest.mark.usefixtures("filled")
def test_csv_has_iso_times_and_reads_back_the_same(lake, queue, tmp_path):
    export(lake, queue, crypto, [BTC], JANUARY, END, tmp_path / "out.csv", format="csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0].replace('"', "").split(",") == SCHEMA.names
    assert lines[1].replace('"', "").split(",")[:3] == ["2024-01-01T00:00:00Z", "BTCUSD", "1h"]
    frame = pd.read_csv(tmp_path / "out.csv", dtype=dict.fromkeys(VALUES, str))
    wanted = bars(lake, BTC, JANUARY, END, columns=[*VALUES, *LINEAGE]).to_pandas()
    for name in ("timestamp", "_extracted_at"):
        assert pd.to_datetime(frame[name], format="ISO8601").tolist() == wanted[name].tolist()
    for name in VALUES:
        assert frame[name].map(float).tolist() == wanted[name].tolist()
    for name in ("_ingestion_id", "is_mock"):
        assert frame[name].tolist() == wanted[name].tolist()
    assert frame["_dead_letter_id"].isna().all()


@settings(max_examples=examples(20))
@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=20))
def test_csv_keeps_every_bit_of_a_price(tmp_path_factory, prices):
    folder = tmp_path_factory.mktemp("lake")
    lake, queue = DeltaLakeManager(folder / "lake"), DeadLetterQueue(folder / "dlq")
    put(lake, BTC, {JANUARY + place * HOUR: (price,) * 5 for place, price in enumerate(prices)})
    file = io.BytesIO()
    export(lake, queue, crypto, [BTC], JANUARY, END, file, format="csv")
    close = SCHEMA.names.index("close")
    rows = file.getvalue().decode().splitlines()[1:]
    assert [float(row.split(",")[close]) for row in rows] == prices


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_range_without_bars_is_a_file_with_only_columns(lake, queue, filled, format):
    file = io.BytesIO()
    sheet = export(lake, queue, crypto, [BTC], END, END + DAY, file, format=format)
    assert sheet["series"][0]["first"] is None
    read = pq.read_table(io.BytesIO(file.getvalue())).to_pandas() if format == "parquet" else None
    frame = read if read is not None else pd.read_csv(io.BytesIO(file.getvalue()))
    assert (len(frame), list(frame.columns)) == (0, SCHEMA.names)


@pytest.mark.usefixtures("filled")
def test_a_failed_export_leaves_the_old_file_and_nothing_beside_it(lake, queue, tmp_path):
    target = tmp_path / "out.parquet"
    target.write_text("old")
    first, *_ = sorted(lake_path(lake, MINUTES.table).rglob("*.parquet"))
    first.unlink()
    with pytest.raises(StorageError, match="missing or damaged"):
        export(lake, queue, crypto, [BTC, MINUTES], JANUARY, END, target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.glob("*out*")] == ["out.parquet"]


@pytest.mark.parametrize(
    ("series", "more", "message"),
    [
        ([BTC], {"format": "xlsx"}, "format: 'xlsx' is unknown; use one of parquet, csv"),
        ([], {}, "series: choose at least one series to export"),
        ([Series("XRPUSD", "1h", "coinbase")], {}, "XRPUSD 1h from coinbase is not stored"),
    ],
)
@pytest.mark.usefixtures("filled")
def test_bad_arguments_are_named_before_anything_is_written(lake, queue, tmp_path, series, more, message):
    with pytest.raises(InputError, match=message):
        export(lake, queue, crypto, series, JANUARY, END, tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_a_storage_error(lake, queue, filled, tmp_path):
    with pytest.raises(StorageError, match=r"none/out\.csv cannot be written"):
        export(lake, queue, crypto, [BTC], JANUARY, END, tmp_path / "none" / "out.csv")


# --- code to copy ---


def ran(code: str) -> pa.Table:
    """What a snippet leaves in `bars`."""
    found: dict = {}
    exec(compile(code, "snippet", "exec"), found)
    result = found["bars"]
    if isinstance(result, pd.DataFrame):
        return pa.Table.from_pandas(result, preserve_index=False)
    return result if isinstance(result, pa.Table) else pa.table(result)


@pytest.mark.parametrize("tool", ["pandas", "polars", "DuckDB"])
@pytest.mark.parametrize("then", [False, True])
def test_a_snippet_reads_exactly_the_slice(lake, filled, tool, then):
    pytest.importorskip(tool.lower())
    known = filled if then else None
    wanted = bars(lake, BTC, JANUARY, END, known)
    assert as_dict(ran(snippets(lake, BTC, JANUARY, END, known)[tool])) == as_dict(wanted)
    assert wanted.num_rows == 46


def test_the_spark_snippet_is_python_and_asks_the_same(lake, filled):
    code = snippets(lake, BTC, JANUARY, END, filled)["Spark"]
    compile(code, "snippet", "exec")
    for text in (
        lake.table_uri(BTC.table),
        "'BTCUSD'",
        "'coinbase'",
        "DATE '2024-01-01'",
        "_extracted_at <= TIMESTAMP",
    ):
        assert text in code


def test_a_path_with_a_quote_stays_one_text(tmp_path):
    lake = DeltaLakeManager(tmp_path / 'it\'s "mine"')
    put(lake, BTC, flat([JANUARY]))
    found = snippets(lake, BTC, JANUARY, END)
    assert as_dict(ran(found["pandas"])) == flat([JANUARY])
    assert all(compile(code, "snippet", "exec") for code in found.values())


def test_numbers_of_the_sheet_add_up(lake, queue, filled):
    sheet = export(lake, queue, crypto, [BTC, MINUTES], JANUARY - DAY, END, io.BytesIO())
    for one in sheet["series"]:
        coverage = one["coverage"]
        assert coverage["expected"] == sum(coverage.values()) - coverage["expected"] - coverage["extra"]
        assert one["rows"] == coverage["stored"] + coverage["extra"]
        missing = coverage["expected"] - coverage["stored"]
        assert missing == sum(gap["candles"] for gap in one["gaps"])
