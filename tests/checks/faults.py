"""Faults of a seeded lake: what each does to a series, and where; the checks never see the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.checks.markets import Made, split

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Fault:
    """A planted fault: of which sort, in which series, over which bars [start, end)."""

    sort: str
    series: str
    start: int
    end: int


def _fault(sort: str, made: Made, first: int, last: int) -> Fault:
    ends = int(made.open_times[min(last, len(made.open_times)) - 1]) + made.series.step
    return Fault(sort, made.series.key, int(made.open_times[first]), ends)


def coarse_price(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """The close of a coarse bar is not that of its parts."""
    span = made.columns["high"][at] - made.columns["low"][at]
    moved = made.columns["close"][at] - max(0.3 * span, 3 * 10.0**-made.decimals)
    made.columns["close"][at] = np.round(max(moved, made.columns["low"][at]), made.decimals)
    return _fault("coarse price", made, at, at + 1)


def coarse_volume(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """Some coarse bars have lost a part of their volume."""
    made.columns["volume"][at : at + 5] = np.round(made.columns["volume"][at : at + 5] * 0.7, 6)
    return _fault("coarse volume", made, at, at + 5)


def lost_parts(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """Fine bars are gone, whose coarse bar there is."""
    fault = _fault("lost parts", made, at, at + 3)
    made.drop(np.arange(at, at + 3))
    return fault


def scale(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """One source gives cents for some weeks."""
    last = min(at + 500, len(made.open_times))
    for name in PRICES:
        made.columns[name][at:last] = np.round(made.columns[name][at:last] * 100, made.decimals)
    return _fault("scale between sources", made, at, last)


def shift(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """One source's bars stand some whole bars late for some weeks."""
    by, last = int(rng.integers(1, 9)), min(at + 600, len(made.open_times))
    for name, column in made.columns.items():
        made.columns[name] = np.concatenate([column[:at], column[at - by : last - by], column[last:]])
    return _fault("shift between sources", made, at, last)


def one_source(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """A bar of one source is off by some spans, all prices alike."""
    span = np.median(made.columns["high"] - made.columns["low"]) * 8
    for name in PRICES:
        made.columns[name][at] = np.round(made.columns[name][at] + span, made.decimals)
    return _fault("one source off", made, at, at + 1)


def unit(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """From one bar on prices are in another unit, or the other way round."""
    which = rng.integers(0, 3)
    for name in PRICES:
        own = made.columns[name][at:]
        made.columns[name][at:] = own * 100 if which == 0 else own / 1000 if which == 1 else 1 / own
    if which == 2:
        made.columns["high"][at:], made.columns["low"][at:] = (
            made.columns["low"][at:].copy(),
            made.columns["high"][at:].copy(),
        )
    return _fault("unit of prices", made, at, at + 1)


def volume_unit(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """From one day on volumes are in another unit."""
    made.columns["volume"][at:] *= float(rng.choice([100.0, 1000.0, 0.01]))
    day = int(86_400 / made.series.step) or 1
    return _fault("unit of volumes", made, max(0, at - day), at + 2 * day)


def identical(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """A run of bars that are all the same."""
    count = int(rng.integers(4, 12))
    for column in made.columns.values():
        column[at : at + count] = column[at]
    return _fault("identical bars", made, at, at + count)


def doubled(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """A bar is stored once more, a bar later."""
    for column in made.columns.values():
        column[at + 1] = column[at]
    return _fault("duplicate a bar apart", made, at, at + 2)


def stuck(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """The price stands still."""
    count = int(rng.integers(8, 30))
    for name in PRICES:
        made.columns[name][at : at + count] = made.columns["close"][at - 1]
    return _fault("stuck price", made, at, at + count)


def no_volume(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """Bars have lost their volume."""
    count = int(rng.integers(1, 20))
    made.columns["volume"][at : at + count] = 0.0
    return _fault("zero volume", made, at, at + count)


def spike(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """A high or low that nobody traded at."""
    span = np.median(made.columns["high"][at - 50 : at + 50] - made.columns["low"][at - 50 : at + 50])
    far = float(rng.uniform(25, 60)) * span
    if rng.random() < 0.5:
        made.columns["high"][at] = np.round(made.columns["high"][at] + far, made.decimals)
    else:
        made.columns["low"][at] = np.round(
            max(made.columns["low"][at] - far, made.columns["low"][at] / 2), made.decimals
        )
    return _fault("spike", made, at, at + 1)


def edge(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """The first hours of some sessions are not there."""
    begins = 1 + np.flatnonzero(np.diff(made.open_times) > 3 * 3600)
    chosen = begins[np.searchsorted(begins, at) :][:3]
    width = max(1, 3600 // made.series.step)
    fault = _fault("session edge", made, int(chosen[0]), int(chosen[-1]) + width)
    made.drop(np.concatenate([np.arange(first, first + width) for first in chosen.tolist()]))
    return fault


def weekend(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """Bars on a Saturday, when FX rests."""
    begins = 1 + np.flatnonzero(np.diff(made.open_times) > 40 * 3600)
    before = int(begins[np.searchsorted(begins, at)]) - 1
    last = int(made.open_times[before])
    opens = last + (6 + np.arange(5)) * made.series.step
    made.open_times = np.insert(made.open_times, before + 1, opens)
    noise = 10.0**-made.decimals * np.arange(1, 6)
    for name, column in made.columns.items():
        extra = np.round(column[before] + noise, made.decimals) if name != "volume" else np.full(5, 7.0)
        made.columns[name] = np.insert(column, before + 1, extra)
    return Fault("weekend bars", made.series.key, int(opens[0]), int(opens[-1]) + made.series.step)


def off_tick(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """A price between two ticks."""
    tick = 10.0**-made.decimals
    made.columns["high"][at] += 0.37 * tick
    return _fault("off the tick", made, at, at + 1)


def hidden_split(rng: np.random.Generator, made: Made, at: int) -> Fault:
    """A split that no table knows."""
    split(made, at, int(rng.choice([2, 3, 5, 10])))
    return _fault("unexplained split", made, at, at + 1)


Plant = Callable[[np.random.Generator, Made, int], Fault]
OF_COARSE: dict[Plant, int] = {coarse_price: 3, coarse_volume: 2}
OF_FINE: dict[Plant, int] = {lost_parts: 2}
OF_SECOND_SOURCE: dict[Plant, int] = {scale: 2, shift: 3, one_source: 2}
OF_ANY: dict[Plant, int] = {
    unit: 3,
    volume_unit: 2,
    identical: 3,
    doubled: 3,
    stuck: 3,
    no_volume: 3,
    spike: 3,
    off_tick: 2,
}
OF_FX: dict[Plant, int] = {edge: 1, weekend: 2}
OF_SHARES: dict[Plant, int] = {hidden_split: 1}
"""How many of each are planted, and in what they make sense: 40 together."""
