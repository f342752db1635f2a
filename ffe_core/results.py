"""Result dicts of the public API: their keys and types; times are ISO 8601 text in UTC."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from ffe_core.series import Series

Status = Literal["success", "no_data", "validation_failed", "error"]


class SeriesResultDict(TypedDict):
    """What one series came to. A series whose run ended before it says less; a replay counts `collided` besides."""

    asset_pair: str
    timeframe: str
    provider: str
    status: Status
    records: NotRequired[int]
    failed_records: NotRequired[int]
    watermark: NotRequired[str | None]
    start: NotRequired[str]
    end: NotRequired[str]
    expected: NotRequired[int | None]
    stored: NotRequired[int | None]
    dead_lettered: NotRequired[int | None]
    marked: NotRequired[int | None]
    unexplained: NotRequired[int | None]
    extra: NotRequired[int | None]
    received: NotRequired[int]
    restated: NotRequired[int]
    superseded: NotRequired[int]
    repeats: NotRequired[int]
    outside: NotRequired[int]
    unfinished: NotRequired[int]
    requests: NotRequired[int]
    retries: NotRequired[int]
    collided: NotRequired[int]
    reason: NotRequired[str]
    """Why there was no data: up_to_date, provider_empty or not_covered."""
    not_covered: NotRequired[list[str]]
    clock_skew_seconds: NotRequired[int]
    notices: NotRequired[list[str]]
    error: NotRequired[str | None]
    error_code: NotRequired[str]


class AllAssetsResultDict(TypedDict):
    """What all series of a call came to, one dict each in the order asked."""

    total_records: int
    total_failed: int
    results: list[SeriesResultDict]


def result_of(series: Series, status: Status) -> SeriesResultDict:
    """The beginning of every series' result: which series it is, and how it ended."""
    return {
        "asset_pair": series.asset_pair,
        "timeframe": series.timeframe,
        "provider": series.provider,
        "status": status,
    }
