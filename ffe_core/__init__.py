"""FFE core: years of trustworthy candles from several providers in a Delta lake of your own.

Candles come from providers, through validation, into storage; watermarks remember, dead letters keep, runs report.
"""

from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.multi_asset_batch_ingester import MultiAssetBatchIngester
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.watermark_store import WatermarkStore

__all__ = [
    "BatchDataIngester",
    "DeadLetterQueue",
    "DeltaLakeManager",
    "MultiAssetBatchIngester",
    "WatermarkStore",
]
