"""Options of Bronze tables: which statistics the log keeps, and what work appends leave to upkeep."""

from __future__ import annotations

from deltalake import DeltaTable, PostCommitHookProperties

STATISTICS = ("timestamp", "_extracted_at", "source_provider", "_ingestion_id")
"""The columns whose first and last value the log keeps for each file: those that readers choose files by. Keeping all
fifteen makes a table half again as dear to open, which every append does."""
PROPERTIES = {
    # Every tenth commit: opening a table between two checkpoints is what small appends spend most of their time on.
    "delta.checkpointInterval": "10",
    "delta.dataSkippingStatsColumns": ",".join(STATISTICS),
}
"""What every Bronze table is set to; retention is a setting, and upkeep's."""
APPEND_HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
"""Looking for expired log entries costs an append more with every entry there is; upkeep does it instead."""


def lacks_properties(table: DeltaTable) -> dict[str, str]:
    """What a Bronze table is not set to yet: a release before 0.2 made it."""
    held = table.metadata().configuration
    return {key: text for key, text in PROPERTIES.items() if key not in held}
