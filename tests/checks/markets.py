"""Markets of a seeded lake: bars with the habits of real ones, traps that are no faults among them.

Prices move with changing volatility and heavy tails, volumes with the hour and the day; hours follow the calendar, so
both clock changes, short Sundays and holidays are in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffe_core.calendars import calendar_for
from ffe_core.candles import VALUES
from ffe_core.series import Series
from ffe_core.times import DAY

Columns = dict[str, np.ndarray]


@dataclass
class Made:
    """A series under way: opens (epoch seconds) and its five columns."""

    series: Series
    open_times: np.ndarray
    columns: Columns
    decimals: int

    def drop(self, places: np.ndarray) -> None:
        kept = np.ones(len(self.open_times), dtype=bool)
        kept[places] = False
        self.open_times = self.open_times[kept]
        self.columns = {name: column[kept] for name, column in self.columns.items()}

    def copy_as(self, provider: str) -> Made:
        series = Series(self.series.asset_pair, self.series.timeframe, provider)
        return Made(series, self.open_times.copy(), {n: c.copy() for n, c in self.columns.items()}, self.decimals)


def market(
    rng: np.random.Generator,
    series: Series,
    start: int,
    days: int,
    price: float,
    decimals: int,
    volatility: float,
    volume: float,
) -> Made:
    """One market on its own calendar. `volatility` is of a day, `volume` of a usual bar."""
    calendar = calendar_for(series.provider, series.asset_pair)
    opens = calendar.expected_open_times(series.timeframe, start, start + days * DAY)
    share = np.sqrt(series.step / DAY)
    # Volatility that clusters, and tails fatter than the normal's.
    calm = np.exp(_wandering(rng, len(opens), 0.98, 0.12))
    moves = rng.standard_t(4, len(opens)) / np.sqrt(2) * volatility * share * calm
    close = price * np.exp(np.cumsum(moves))
    gaps = rng.standard_t(4, len(opens)) * volatility * share * 0.03
    opening = np.concatenate([[price], close[:-1]]) * np.exp(gaps)
    wick = rng.exponential(0.4, (2, len(opens))) * volatility * share * calm
    high = np.maximum(opening, close) * np.exp(wick[0])
    low = np.minimum(opening, close) * np.exp(-wick[1])
    hour = 1 + 0.6 * np.sin((opens % DAY) / DAY * 2 * np.pi)
    traded = volume * hour * np.exp(_wandering(rng, len(opens), 0.95, 0.2) + rng.normal(0, 0.5, len(opens)))
    digits = 0 if series.provider == "oanda" or "." not in f"{volume}" else 6
    prices = {"open": opening, "high": high, "low": low, "close": close}
    columns = {name: np.round(column, decimals) for name, column in prices.items()}
    columns["volume"] = np.maximum(np.round(traded, digits), 1.0 if digits == 0 else 1e-6)
    return Made(series, opens, columns, decimals)


def thin(rng: np.random.Generator, made: Made, share: float) -> Made:
    """The same with few trades: minutes without one have no bar, and many others stand still, in quiet stretches."""
    quiet = _wandering(rng, len(made.open_times), 0.995, 0.12)
    traded = rng.random(len(made.open_times)) < np.clip(share * np.exp(quiet), 0.05, 0.98)
    traded[0] = True
    made.drop(np.flatnonzero(~traded))
    flat = rng.random(len(made.open_times)) < 0.35
    for name in ("open", "high", "low"):
        made.columns[name][flat] = made.columns["close"][flat]
    still = np.flatnonzero(flat & (rng.random(len(flat)) < 0.4))
    for at in still[still > 0].tolist():
        for name in ("open", "high", "low", "close"):
            made.columns[name][at] = made.columns["close"][at - 1]
    return made


def coarser(made: Made, timeframe: str) -> Made:
    """The bars of a coarser timeframe, made of these."""
    series = Series(made.series.asset_pair, timeframe, made.series.provider)
    begins = made.open_times - made.open_times % series.step
    first = np.flatnonzero(np.diff(begins, prepend=-1))
    last = np.append(first[1:], len(begins)) - 1
    columns = {
        "open": made.columns["open"][first],
        "high": np.maximum.reduceat(made.columns["high"], first),
        "low": np.minimum.reduceat(made.columns["low"], first),
        "close": made.columns["close"][last],
        "volume": np.add.reduceat(made.columns["volume"], first),
    }
    return Made(series, begins[first], columns, made.decimals)


def another_book(rng: np.random.Generator, made: Made, provider: str) -> Made:
    """The same market as another venue shows it: near, never the same."""
    other = made.copy_as(provider)
    usual = np.median((made.columns["high"] - made.columns["low"]) / made.columns["close"])
    for name in ("open", "high", "low", "close"):
        noise = 1 + rng.normal(0, 0.05 * usual, len(made.open_times))
        other.columns[name] = np.round(other.columns[name] * noise * 1.0004, made.decimals)
    other.columns["volume"] = np.round(other.columns["volume"] * rng.lognormal(-0.5, 0.3, len(made.open_times)), 6)
    return whole(other)


def whole(made: Made) -> Made:
    """Highs and lows hold opens and closes again."""
    edges = np.array([made.columns[name] for name in ("open", "high", "low", "close")])
    made.columns["high"], made.columns["low"] = edges.max(axis=0), edges.min(axis=0)
    return made


def crash(made: Made, at: int) -> None:
    """A day as AAPL's of 2000-09-29: it opens at 0.526 of the last close, falls on, spans 23 %, and 23 times as many
    shares are traded as the day before (53.38; 28.06, 29.13, 23.19, 25.81; 5.8 and 134.1 million)."""
    before, after = made.columns["close"][at - 1], 25.81 / made.columns["close"][at] / 53.38
    for name in ("open", "high", "low", "close"):
        made.columns[name][at + 1 :] *= after * before
    for name, value in (("open", 28.06), ("high", 29.13), ("low", 23.19), ("close", 25.81)):
        made.columns[name][at] = before * value / 53.38
    made.columns["volume"][at] = made.columns["volume"][at - 1] * 22.96
    made.columns["volume"][at + 1 : at + 4] *= 6
    _rounded(made)


def split(made: Made, at: int, new: float) -> None:
    """A split: from one day on a share is `new`."""
    for name in ("open", "high", "low", "close"):
        made.columns[name][at:] /= new
    made.columns["volume"][at:] *= new
    _rounded(made)


def _rounded(made: Made) -> None:
    for name in ("open", "high", "low", "close"):
        made.columns[name] = np.round(made.columns[name], made.decimals)


def _wandering(rng: np.random.Generator, count: int, keep: float, step: float) -> np.ndarray:
    """An autoregressive walk that stays near zero."""
    shocks = rng.normal(0, step, count)
    found = np.empty(count)
    value = 0.0
    for at, shock in enumerate(shocks.tolist()):
        value = keep * value + shock
        found[at] = value
    return found


assert set(VALUES) == {"open", "high", "low", "close", "volume"}
