"""Manual corrections of a stored bar: a new version is appended, with who and why; nothing is overwritten."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from ffe_core import times
from ffe_core.candles import BY_HAND, VALUES
from ffe_core.errors import InputError
from ffe_core.ingestion.enrich import enrich
from ffe_core.insight.units import written
from ffe_core.insight.versions import versions
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series
from ffe_core.storage.lake.comparison import Committed
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import micros
from ffe_core.storage.state.audit import Audit, required_reason
from ffe_core.storage.stores import Stores
from ffe_core.validation import REASONS, validate


def correct(
    stores: Stores,
    audit: Audit,
    series: Series,
    open_: int,
    values: Mapping[str, float | None],
    actor: str,
    reason: str,
    began_from: int | None,
) -> Committed:
    """Append a new version of the stored bar that opens at `open_` (epoch seconds) with these five values.

    `began_from` is when the version was extracted (epoch microseconds) that they were made of, None if there was none:
    all five are stored, so those that somebody changed meanwhile would be undone. The values have to pass the same
    rules as a provider's. InputError for values that do not or that change nothing, for a bar that is not stored or
    has a newer version, or for no reason; SeriesHeld while a run works on the series; StorageError if it cannot be
    written.
    """
    why = required_reason(reason, "a misprint, by the exchange's own tape")
    checked = validate([{"date": times.iso(open_), **values}], series.grid)
    if checked.failures:
        broken = "; ".join(REASONS[code.split(":")[0]] for code in checked.failures[0].reasons)
        raise InputError(f"{broken}; correct them and save again", field="values")
    lake = stores.lake
    ingestion = f"{BY_HAND}{uuid.uuid4()}"
    note = {"verb": "correct", "ingestion_id": ingestion, "actor": actor, "reason": why}
    is_mock = series.provider in PROVIDERS and PROVIDERS[series.provider].is_mock
    with stores.lease(series).acquire():
        _require_change(lake, series, open_, values, began_from)
        marks = lake.marks(series)
        rows = enrich(checked.candles, series, ingestion, is_mock=is_mock)
        named = {"open": times.iso(open_), "values": dict(values), "ingestion": ingestion}
        with audit.act(actor, "correct", series.key, why, **named):
            return lake.commit(series, rows, marks, marks, note)


def _require_change(
    lake: DeltaLakeManager, series: Series, open_: int, values: Mapping[str, float | None], began_from: int | None
) -> None:
    found = versions(lake, series, open_)
    if not found.num_rows:
        raise InputError(f"{series} has no bar at {times.iso(open_)}; only a stored bar can be corrected", field="bar")
    stored, moments = found.select(VALUES).to_pylist(), micros(found["_extracted_at"]).tolist()
    if moments[-1] != began_from:
        before = stored[moments.index(began_from)] if began_from in moments else None
        what = _changes(before, stored[-1])
        raise InputError(f"{series} at {times.iso(open_)} {what}; look at it again, then correct it", field="bar")
    if stored[-1] == {name: values.get(name) for name in VALUES}:
        raise InputError("these values are stored already; change at least one and save again", field="values")


def _changes(before: Mapping[str, float] | None, now: Mapping[str, float]) -> str:
    """What happened to a bar between two versions, in words."""
    if before is None:
        return f"was stored meanwhile ({', '.join(f'{name} {written(now[name])}' for name in VALUES)})"
    changed = [name for name in VALUES if before[name] != now[name]]
    what = ", ".join(f"{name} from {written(before[name])} to {written(now[name])}" for name in changed)
    return f"was changed meanwhile ({what or 'to the same values in the end'})"
