"""How a stored bar is corrected by hand: a new version is appended, with who and why; nothing is overwritten."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from ffe_core import times
from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.enrich import enrich
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series
from ffe_core.storage.audit import Audit, required_reason
from ffe_core.storage.delta_lake_manager import Committed, DeltaLakeManager
from ffe_core.validation import REASONS, validate

BY_HAND = "by-hand-"
"""What the `_ingestion_id` of a corrected bar begins with."""


def correct(
    ingester: BatchDataIngester,
    audit: Audit,
    series: Series,
    open_: int,
    values: Mapping[str, float | None],
    actor: str,
    reason: str,
) -> Committed:
    """Append a new version of the stored bar that opens at `open_` (epoch seconds) with these five values.

    The values have to pass the same rules as a provider's. InputError for values that do not or that change nothing,
    for a bar that is not stored, or for no reason; SeriesHeld while a run works on the series; StorageError if it
    cannot be written.
    """
    why = required_reason(reason)
    checked = validate([{"date": times.iso(open_), **values}], series.grid)
    if checked.failures:
        broken = "; ".join(REASONS[code.split(":")[0]] for code in checked.failures[0].reasons)
        raise InputError(f"values: {broken}; mend them and save again")
    lake = ingester.delta_mgr
    ingestion = f"{BY_HAND}{uuid.uuid4()}"
    note = {"verb": "correct", "ingestion_id": ingestion, "actor": actor, "reason": why}
    is_mock = series.provider in PROVIDERS and PROVIDERS[series.provider].is_mock
    with ingester.lease(series).acquire():
        _require_change(lake, series, open_, values)
        marks = lake.marks(series)
        rows = enrich(checked.candles, series, ingestion, is_mock=is_mock)
        done = lake.commit(series, rows, marks, marks, note)
    audit.add(actor, "correct", series.key, why, open=times.iso(open_), values=dict(values), ingestion=ingestion)
    return done


def _require_change(lake: DeltaLakeManager, series: Series, open_: int, values: Mapping[str, float | None]) -> None:
    stored = lake.current(series, open_, open_ + 1).select(VALUES).to_pylist()
    if not stored:
        raise InputError(f"bar: {series} has none at {times.iso(open_)}; only a stored bar can be corrected")
    if stored[0] == {name: values.get(name) for name in VALUES}:
        raise InputError("values: they are the ones stored already; change at least one and save again")
