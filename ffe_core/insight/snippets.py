"""Code snippets that read exactly this slice, to copy, for four tools.

Each reads the latest version of every bar, as the console does, and names the partitions so that only their files are
opened. None holds a credential.
"""

from __future__ import annotations

import numpy as np

from ffe_core import times
from ffe_core.candles import partition_dates
from ffe_core.insight.bars import Moment, moment_micros
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

_OWN = """\
from ffe_core import load_candles

bars = load_candles({call})
"""
_PANDAS = """\
from datetime import date, datetime

import pyarrow.dataset as ds
from deltalake import DeltaTable

rows = (
    DeltaTable({uri!r})
    .to_pyarrow_dataset()
    .to_table(
        filter=(ds.field("partition_asset_pair") == {pair!r})
        & (ds.field("partition_date") >= date.fromisoformat({first!r}))
        & (ds.field("partition_date") <= date.fromisoformat({last!r}))
        & (ds.field("source_provider") == {provider!r})
        & (ds.field("timestamp") >= datetime.fromisoformat({start!r}))
        & (ds.field("timestamp") < datetime.fromisoformat({end!r})){known_pandas}
    )
    .to_pandas()
)
bars = rows.sort_values(["timestamp", "_extracted_at"]).drop_duplicates("timestamp", keep="last", ignore_index=True)
"""
_POLARS = """\
from datetime import date, datetime

import polars as pl

bars = (
    pl.scan_delta({uri!r})
    .filter(
        pl.col("partition_asset_pair") == {pair!r},
        pl.col("partition_date").is_between(date.fromisoformat({first!r}), date.fromisoformat({last!r})),
        pl.col("source_provider") == {provider!r},
        pl.col("timestamp") >= datetime.fromisoformat({start!r}),
        pl.col("timestamp") < datetime.fromisoformat({end!r}),{known_polars}
    )
    .sort("timestamp", "_extracted_at")
    .unique("timestamp", keep="last", maintain_order=True)
    .collect()
)
"""
_SQL = """\
SELECT * FROM {table}
WHERE partition_asset_pair = '{pair}'
  AND partition_date BETWEEN DATE '{first}' AND DATE '{last}'
  AND source_provider = '{provider}'
  AND timestamp >= {type} '{start}'
  AND timestamp < {type} '{end}'{known}"""
_DUCKDB = """\
import duckdb
from deltalake import DeltaTable

duckdb.sql("SET TimeZone = 'UTC'")
candles = DeltaTable({uri!r}).to_pyarrow_dataset()
bars = duckdb.sql(\"\"\"
{sql}
QUALIFY row_number() OVER (PARTITION BY timestamp ORDER BY _extracted_at DESC) = 1
ORDER BY timestamp
\"\"\").to_arrow_table()
"""
_SPARK = """\
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

# The session needs Delta Lake: pip install delta-spark, then configure_spark_with_delta_pip.
spark = SparkSession.builder.getOrCreate()
spark.conf.set("spark.sql.session.timeZone", "UTC")  # toPandas gives times of the session's zone, without one
spark.read.format("delta").load({uri!r}).createOrReplaceTempView("candles")
rows = spark.sql(\"\"\"
{sql}
\"\"\")
newest_first = Window.partitionBy("timestamp").orderBy(F.col("_extracted_at").desc())
bars = (
    rows.withColumn("version", F.row_number().over(newest_first))
    .where("version = 1")
    .drop("version")
    .orderBy("timestamp")
)
"""


def snippets(
    lake: DeltaLakeManager,
    series: Series,
    start: int,
    end: int,
    as_known_at: Moment | None = None,
    adjust: str | None = None,
) -> dict[str, str]:
    """Code by tool ("pandas", "polars", "DuckDB", "Spark") that leaves the bars of [start, end) in `bars`.

    One row a bar by time, the latest version, or the one known at the moment given. With `adjust` a way of the
    console's own ("load_candles") comes first, which alone adjusts.
    """
    first, last = np.datetime_as_string(partition_dates(np.array([start, max(start, end - 1)]), series.timeframe))
    moment = moment_micros(as_known_at)
    known = None if moment is None else f"{np.datetime64(moment, 'us')}+00:00"
    given = {
        "uri": lake.table_uri(series.table),
        "pair": series.asset_pair,
        "provider": series.provider,
        "first": str(first),
        "last": str(last),
        "start": times.iso(start),
        "end": times.iso(end),
    }
    known_pandas = known and f'\n        & (ds.field("_extracted_at") <= datetime.fromisoformat({known!r}))'
    known_polars = known and f'\n        pl.col("_extracted_at") <= datetime.fromisoformat({known!r}),'
    own = {} if adjust is None else {"load_candles": _OWN.format(call=_call(series, start, end, known, adjust))}
    return {
        **own,
        "pandas": _PANDAS.format(**given, known_pandas=known_pandas or ""),
        "polars": _POLARS.format(**given, known_polars=known_polars or ""),
        "DuckDB": _DUCKDB.format(**given, sql=_sql(given, "TIMESTAMPTZ", known)),
        "Spark": _SPARK.format(**given, sql=_sql(given, "TIMESTAMP", known)),
    }


def _call(series: Series, start: int, end: int, known: str | None, adjust: str) -> str:
    arguments = [repr(series.asset_pair), repr(series.timeframe), repr(times.iso(start)), repr(times.iso(end))]
    arguments += [f"provider={series.provider!r}"] + ([f"as_known_at={known!r}"] if known else [])
    return ", ".join([*arguments, f"adjust={adjust!r}"])


def _sql(given: dict[str, str], type_: str, known: str | None) -> str:
    condition = f"\n  AND _extracted_at <= {type_} '{known}'" if known else ""
    return _SQL.format(**given, table="candles", type=type_, known=condition)
