"""FFE core: years of trustworthy candles from several providers in a Delta lake of your own.

Candles come from providers, through validation, into storage; watermarks remember, dead letters keep, runs report.

What is exported here is imported when it is first used (PEP 562), so that `import ffe_core` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
    from ffe_core.ingestion.multi_asset_batch_ingester import MultiAssetBatchIngester
    from ffe_core.reading.load import load_candles
    from ffe_core.reading.matrix import price_matrix
    from ffe_core.reading.scan import scan_candles
    from ffe_core.storage.dead_letters.queue import DeadLetterQueue
    from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
    from ffe_core.storage.watermark_store import WatermarkStore

__all__ = [
    "BatchDataIngester",
    "DeadLetterQueue",
    "DeltaLakeManager",
    "MultiAssetBatchIngester",
    "WatermarkStore",
    "load_candles",
    "price_matrix",
    "scan_candles",
]

_HOMES = {
    "BatchDataIngester": "ffe_core.ingestion.batch_data_ingester",
    "DeadLetterQueue": "ffe_core.storage.dead_letters.queue",
    "DeltaLakeManager": "ffe_core.storage.lake.delta_lake_manager",
    "MultiAssetBatchIngester": "ffe_core.ingestion.multi_asset_batch_ingester",
    "WatermarkStore": "ffe_core.storage.watermark_store",
    "load_candles": "ffe_core.reading.load",
    "price_matrix": "ffe_core.reading.matrix",
    "scan_candles": "ffe_core.reading.scan",
}


def __getattr__(name: str) -> object:
    """An exported class or function, or a submodule such as `ffe_core.providers`, imported on first use."""
    if name in _HOMES:
        globals()[name] = found = getattr(import_module(_HOMES[name]), name)
        return found
    try:
        if not name.startswith("_"):
            return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
