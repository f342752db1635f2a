"""Words for what upkeep came to, the same in its log, on its page and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ffe_core.counts import many
from ffe_core.storage.lake.upkeep.disk import size_text


def counted(kinds: Mapping[str, int]) -> str:
    """How many there are of each kind, for people; empty where there are none."""
    return ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in kinds.items() if count)


def in_words(result: Mapping[str, Any]) -> str:
    """What a row of an upkeep run came to, a table or the history, in one line."""
    if "deleted" in result:
        return f"{counted(result['deleted']) or 'nothing'} deleted, {size_text(result['bytes_given_back'])} given back"
    parts = []
    if "files_before" in result:
        parts.append(f"{result['files_before']:,} files are {result['files_after']:,} now")
        if result["left_for_later"]:
            parts.append(f"{many(result['left_for_later'], 'partition')} left for the next time, others changed them")
        if result["repeats_removed"]:
            parts.append(f"{result['repeats_removed']:,} rows that were there twice are there once")
    if result.get("log_entries_deleted"):
        parts.append(f"{result['log_entries_deleted']:,} log entries deleted")
    if result.get("files_deleted"):
        parts.append(f"{result['files_deleted']:,} unused files deleted")
    return ", ".join(parts) or "nothing to do"
