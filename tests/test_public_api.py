"""Is the public API what it is said to be: exported, signed as agreed, and free of the console?"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ffe_core
from ffe_core import (
    BatchDataIngester,
    DeadLetterQueue,
    DeltaLakeManager,
    MultiAssetBatchIngester,
    WatermarkStore,
    load_candles,
    price_matrix,
    scan_candles,
)
from ffe_core.providers import PROVIDERS
from ffe_core.providers.alpha_vantage import AlphaVantageProvider
from ffe_core.providers.coinbase import CoinbaseDataProvider
from ffe_core.providers.oanda import OandaDataProvider
from ffe_core.providers.simulated import SimulatedProvider

ROOT = Path(ffe_core.__file__).parent


def test_all_is_sorted_complete_and_real():
    assert ffe_core.__all__ == sorted(ffe_core.__all__)
    assert set(ffe_core.__all__) == {
        "BatchDataIngester",
        "DeadLetterQueue",
        "DeltaLakeManager",
        "MultiAssetBatchIngester",
        "WatermarkStore",
        "load_candles",
        "price_matrix",
        "scan_candles",
    }
    for name in ffe_core.__all__:
        member = getattr(ffe_core, name)
        assert inspect.isclass(member) or inspect.isfunction(member)
        assert member.__name__ == name
        assert inspect.getdoc(member)


READ = ["pairs", "timeframe", "start", "end", "provider", "as_known_at", "columns", "resample", "as_"]
SIGNATURES: list[tuple[Any, list[str], dict[str, Any]]] = [
    (WatermarkStore, ["storage_path"], {"storage_path": "data/watermarks"}),
    (WatermarkStore.get, ["self", "asset_pair", "timeframe"], {}),
    (WatermarkStore.set, ["self", "asset_pair", "timeframe", "timestamp"], {}),
    (DeadLetterQueue, ["storage_path"], {"storage_path": "data/dlq"}),
    (DeadLetterQueue.save, ["self", "records", "error", "context"], {}),
    (DeltaLakeManager.create_or_update_table, ["self", "df", "table_name", "partition_columns", "mode"], {}),
    (BatchDataIngester, ["delta_mgr", "config"], {}),
    (
        BatchDataIngester.ingest_historical_data,
        ["self", "asset_pair", "timeframe", "start_date", "end_date", "provider"],
        {"provider": "alpha_vantage"},
    ),
    (BatchDataIngester._get_data_provider, ["self", "provider"], {}),
    (
        BatchDataIngester._fetch_historical_data,
        ["self", "data_provider", "asset_pair", "timeframe", "start_date", "end_date"],
        {},
    ),
    (BatchDataIngester.validate_and_clean, ["self", "candles", "timeframe", "asset_pair"], {}),
    (BatchDataIngester._add_metadata, ["self", "df", "provider"], {}),
    (BatchDataIngester._write_to_delta, ["self", "df", "table_name", "asset_pair", "timeframe"], {}),
    (BatchDataIngester.save_dead_letter_queue, ["self", "records", "error"], {"error": "unknown"}),
    (MultiAssetBatchIngester, ["delta_mgr", "config"], {}),
    (
        MultiAssetBatchIngester.ingest_all_assets,
        ["self", "asset_pairs", "timeframes", "start_date", "end_date", "provider"],
        {"provider": "alpha_vantage"},
    ),
    (load_candles, READ, {"as_": "pandas"}),
    (scan_candles, READ, {"as_": "polars"}),
    (price_matrix, [*READ[:6], "field", "resample", "as_"], {"field": "close", "as_": "pandas"}),
    *(
        (kind.get_historical_data, ["self", "asset_pair", "start", "end", "timeframe"], {})
        for kind in (AlphaVantageProvider, CoinbaseDataProvider, OandaDataProvider, SimulatedProvider)
    ),
]


@pytest.mark.parametrize(("member", "names", "defaults"), SIGNATURES)
def test_a_signature_begins_as_agreed_and_what_follows_has_defaults(
    member: Any, names: list[str], defaults: dict[str, Any]
):
    parameters = list(inspect.signature(member).parameters.values())
    assert [parameter.name for parameter in parameters[: len(names)]] == names
    assert {p.name: p.default for p in parameters if p.name in defaults} == defaults
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters[len(names) :])


ASYNC = ["ingest_historical_data", "_get_data_provider", "_fetch_historical_data", "_write_to_delta"]


def test_what_must_be_awaited_is_a_coroutine_function():
    assert all(inspect.iscoroutinefunction(getattr(BatchDataIngester, name)) for name in ASYNC)
    assert inspect.iscoroutinefunction(MultiAssetBatchIngester.ingest_all_assets)
    for kind in PROVIDERS.values():
        assert inspect.iscoroutinefunction(kind.get_historical_data)
        assert inspect.iscoroutinefunction(kind.__aenter__)


def test_each_provider_is_known_by_its_own_name():
    assert set(PROVIDERS) == {"alpha_vantage", "coinbase", "oanda", "simulated"}
    assert all(kind.name == name for name, kind in PROVIDERS.items())
    assert [name for name, kind in PROVIDERS.items() if kind.is_mock] == ["simulated"]


def test_the_core_never_imports_the_console():
    code = (
        "import sys, ffe_core, ffe_core.providers; print(sorted(m for m in sys.modules if m.startswith('streamlit')))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    for path in ROOT.rglob("*.py"):
        assert "import streamlit" not in path.read_text("utf-8"), path
        assert "from streamlit" not in path.read_text("utf-8"), path
