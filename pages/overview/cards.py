"""Cards of the Overview: a figure, what it means, and how it went over the last two weeks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from ffe_core import times
from ffe_core.insight.overview import Overview
from ffe_core.storage.dead_letters.search import Wanted
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import RunCounts
from pages.widgets import duration, number, plain, service

DAYS = 14


class Card(NamedTuple):
    """A figure; `days` are what it came to on each of the last days, oldest first, and `unit` what is counted there."""

    name: str
    value: str
    hint: str
    days: Sequence[int] = ()
    unit: str = ""


def cards(shown: Overview) -> None:
    """One row of them; on a narrow screen they wrap."""
    with st.container(horizontal=True, gap="small", key="overview_cards"):
        for card in _all(shown):
            with st.container(border=True, gap="xxsmall"):
                st.metric(card.name, card.value, help=card.hint)
                st.html(sparkline(card))


def _all(shown: Overview) -> list[Card]:
    first = times.now() // times.DAY - DAYS + 1
    runs, worst = service().runs.counts_since(first * times.DAY), shown.worst
    running, active = service().runs.find(states=run_states.ACTIVE, limit=1)
    whose = f" Furthest: {plain(worst.series.asset_pair)} {worst.series.timeframe}." if worst and worst.lag else ""
    return [
        Card("Series", number(len(shown.there)), "Pairs, by timeframe and provider, of which something is stored."),
        Card(
            "Candles stored",
            "–" if shown.trouble else number(shown.stored),
            "Bars; one that was restated counts once. The bars below: new ones a day.",
            by_day(first, runs, "new"),
            "new candles",
        ),
        Card(
            "Worst lag",
            "–" if worst is None else "none" if not worst.lag else duration(worst.lag),
            f"In market time: a closed weekend is not lag.{whose}",
        ),
        Card(
            "Running",
            number(active),
            f"Since {duration(time.time() - running[0].created_at)}." if running else "Runs that have not ended.",
            by_day(first, runs, None),
            "runs",
        ),
        Card(
            "Pending dead letters",
            number(service().queue.count(Wanted(status="pending"))),
            "Records that broke a rule and wait for somebody.",
            by_day(first, runs, "failed_records"),
            "dead letters",
        ),
        Card("Unexplained", "–" if shown.trouble else number(shown.unexplained), "Bars missing without a reason."),
    ]


def by_day(first: int, runs: Sequence[RunCounts], name: str | None) -> list[int]:
    """What runs came to on each day from day `first` of the epoch on: a sum of theirs, or how many they were."""
    days = [0] * DAYS
    for run in runs:
        if 0 <= (day := int(run.created_at // times.DAY) - first) < DAYS:
            days[day] += 1 if name is None else getattr(run, name)
    return days


def sparkline(card: Card) -> str:
    """Bars of days as a picture that says in words what it shows; drawn without a chart library, which is large."""
    if not any(card.days):
        return '<div class="ffe-spark"></div>'  # as high as the others
    heights = [max(8, round(100 * value / max(card.days))) if value else 3 for value in card.days]
    bars = "".join(f'<i style="height:{height}%"></i>' for height in heights)
    said = f"{number(sum(card.days))} {card.unit} in {len(card.days)} days, {number(card.days[-1])} today"
    return f'<div class="ffe-spark" role="img" aria-label="{said}" title="{said}">{bars}</div>'
