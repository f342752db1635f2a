"""Command tests of `sql`: an answer as text, CSV or one JSON document, and a file of views."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ffe_core.cli import main
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.cli.test_backfill import environment
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put

BTC = Series("BTCUSD", "1h", "coinbase")


@pytest.fixture(autouse=True)
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("ffe_core.cli.sql._bound_process", lambda memory_mb: None)
    put(DeltaLakeManager(tmp_path / "lake"), BTC, flat(range(JANUARY, JANUARY + DAY, HOUR)))


def test_an_answer_is_a_table(capsys) -> None:
    assert main(["sql", "SELECT asset_pair, count(*) AS bars FROM candles_1h GROUP BY 1"]) == 0
    assert capsys.readouterr().out.splitlines() == ["asset_pair  bars", "BTCUSD        24"]


@pytest.mark.parametrize("words", [[], [""], [" \n"]])
def test_without_a_question_the_views_and_their_columns_are_told(capsys, words: list[str]) -> None:
    assert main(["sql", *words]) == 0
    told = capsys.readouterr().out
    assert "candles_1h   timestamp, open, high, low, close, volume, asset_pair" in told
    assert "files_" not in told


def test_json_is_one_document_with_types(capsys) -> None:
    assert (
        main(
            [
                "sql",
                "SELECT timestamp, close, 'a' AS a, 1.5::DECIMAL(4,1) AS d FROM candles ORDER BY 1",
                "--json",
                "--max-rows",
                "2",
            ]
        )
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert [column["name"] for column in document["columns"]] == ["timestamp", "close", "a", "d"]
    assert document["rows"][0] == ["2024-01-01T00:00:00+00:00", 100.0 + JANUARY // 60 % 97 / 97, "a", "1.5"]
    assert len(document["rows"]) == 2
    assert document["is_cut"]
    assert document["warnings"] == ["there are more than 2 rows; allow more with --max-rows"]


def test_csv_is_csv(capsys) -> None:
    assert main(["sql", "SELECT timestamp, 'a, \"b\"' AS text FROM candles ORDER BY 1 LIMIT 1", "--csv"]) == 0
    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [
        ["timestamp", "text"],
        ["2024-01-01T00:00:00+00:00", 'a, "b"'],
    ]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["SELECT nope FROM candles"], 2, "bad_input"),
        (["SELECT 1", "--seconds", "0"], 2, "bad_input"),
        (["SELECT 1", "--as-known-at", "yesterday"], 2, "bad_input"),
        (["SELECT 1", "--views", "x.duckdb"], 2, "bad_input"),
        (["SELECT 'infinity'::TIMESTAMPTZ"], 2, "bad_input"),
        (["SELECT '-infinity'::DATE"], 2, "bad_input"),
        (["SELECT [{'at': TIMESTAMP '290000-01-01'}]"], 2, "bad_input"),
        (["SELECT count(*) FROM range(10000000000) a(i) WHERE i % 7 = 3", "--seconds", "0.2"], 1, "query_stopped"),
    ],
)
def test_what_fails_says_why_in_one_document(capsys, words: list[str], status: int, code: str) -> None:
    assert main(["sql", *words, "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    assert (document["code"], document["exit_status"]) == (code, status)


def test_a_moment_can_be_asked_for(capsys) -> None:
    assert main(["sql", "SELECT count(*) AS bars FROM candles", "--as-known-at", "2020-01-01T00:00Z"]) == 0
    assert capsys.readouterr().out.split() == ["bars", "0"]


@pytest.mark.of_a_lake_folder("views can be written of a local lake only")
def test_a_file_of_views_is_written(capsys, tmp_path: Path) -> None:
    assert main(["sql", "--views", str(tmp_path / "lake.duckdb"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["views"] == ["candles", "candles_1h", "series", "lake_versions"]
    assert (tmp_path / "lake.duckdb").exists()


@pytest.mark.slow
def test_one_long_text_is_bounded_too(tmp_path: Path) -> None:
    """DuckDB does not count it, so the process is bounded: the answer would be four gigabytes."""
    words = [sys.executable, "-m", "ffe_core", "sql", "SELECT length(repeat('x', 2000000000))", "--memory-mb", "64"]
    done = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "needs more than 64 MiB" in done.stderr
