"""Units of a series: how its prices are written, and what its volume counts. Every page, message and export asks here.

A price has the decimals of its instrument; one that has more is written whole, so that no two prices look alike that
are not.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from ffe_core.errors import StorageError
from ffe_core.file_sources import is_file_source
from ffe_core.instruments.model import Instrument
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

OF_FILES = "units of the imported files"
NO_VOLUME = "no volume from this provider"
_SAMPLE_BARS = 1_000
_MOST_SAMPLED = 10
_SAMPLE_SECONDS = 600.0
_MOST_DECIMALS, _MOST_WHOLE = 20, 1e16
"""Beyond these a number is written with an exponent."""
_MOST_SHIFTED, _SURE_BELOW = 15, 2.0**50
"""Decimals looked for by arithmetic, and the size below which a product is off by less than half of one."""
_SUM_DIGITS = 15
"""Digits of a float that survive being added up."""


class Catalogue(Protocol):
    """Where instruments are looked up by their stored names."""

    def get(self, provider: str, name: str) -> Instrument | None: ...


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How the prices of a series are written: with so many decimals, or more where one has more."""

    decimals: int = 0
    most: int | None = None
    """Prices that were worked out, such as adjusted ones, are rounded to so many for people."""

    def text(self, value: float | None) -> str:
        """A price for people, thousands apart; "" for none."""
        if value is None:
            return ""
        return written(value if self.most is None else round(value, self.most), self.decimals)

    def plain(self, values: np.ndarray) -> pa.Array:
        """(n,) float64 as text for programs, no thousands apart; it reads back as the same floats."""
        numbers = pa.array(values, pa.float64())
        try:
            texts = pc.cast(pc.cast(numbers, pa.decimal128(38, self.decimals), safe=False), pa.string())
            is_same = pc.equal(pc.cast(texts, pa.float64()), numbers)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # a number that no such decimal can be
            return pa.array([_plain(value, self.decimals) for value in values.tolist()], pa.string())
        # One that needs more decimals than these is whole as it stands, unless it stands with an exponent.
        texts = pc.if_else(pc.fill_null(is_same, False), texts, pc.cast(numbers, pa.string()))
        odd = np.flatnonzero(pc.fill_null(pc.match_substring(texts, "e"), False).to_numpy(zero_copy_only=False))
        if len(odd) == 0:
            return texts
        mended = texts.to_pylist()
        for place in odd.tolist():
            mended[place] = _plain(float(values[place]), self.decimals)
        return pa.array(mended, pa.string())

    def covering(self, *columns: ArrayLike) -> int:
        """The decimals with which each price of these columns is whole: a table or an axis has one format."""
        limit = _MOST_DECIMALS if self.most is None else self.most
        return min(max((self.decimals, *map(_most_decimals, columns))), limit)


class NumberFormats:
    """The formats of all series: the catalogue's decimals, else what the newest stored closes need, at most ten."""

    def __init__(self, catalogue: Catalogue, lake: DeltaLakeManager) -> None:
        self._catalogue, self._lake = catalogue, lake
        self._sampled: dict[Series, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def of(self, series: Series) -> NumberFormat:
        """The format of a series' prices; without decimals, each as whole as it is, where nothing can be read of it."""
        listed = self._catalogue.get(series.provider, series.asset_pair)
        if listed is not None and listed.decimals is not None:
            return NumberFormat(listed.decimals)
        with self._lock:
            read_at, decimals = self._sampled.get(series, (-_SAMPLE_SECONDS, 0))
        if time.monotonic() - read_at >= _SAMPLE_SECONDS:
            try:
                decimals = self._sample(series)
            except StorageError:
                return NumberFormat()  # who reads the series itself says what is wrong with it
            with self._lock:
                self._sampled[series] = time.monotonic(), decimals
        return NumberFormat(decimals)

    def _sample(self, series: Series) -> int:
        snapshot = self._lake.snapshot(series.table)
        files = None if snapshot is None else snapshot.files(series)
        if snapshot is None or files is None or len(files) == 0:
            return 0
        last = int(files.last.max())
        rows = snapshot.rows(series, last - _SAMPLE_BARS * series.step, last + 1, ["close"], files)
        return min(NumberFormat().covering(rows["close"]), _MOST_SAMPLED)


def _most_decimals(column: ArrayLike) -> int:
    """The most that any of these numbers needs, as `decimals_of` says of each; of nothing 0."""
    values = np.asarray(column, dtype=np.float64)
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        for decimals in range(_MOST_SHIFTED + 1):
            # A whole number by a power of ten, both exact: that division is the float nearest to this decimal number.
            whole = np.rint(values * 10.0**decimals)
            if (np.abs(whole) >= _SURE_BELOW).any():
                break
            if (whole / 10.0**decimals == values).all():
                return decimals
    return _by_text(values)


def _by_text(values: np.ndarray) -> int:
    """The same by the shortest text of each."""
    texts = pc.cast(pa.array(np.unique(values)), pa.string())
    odd = pc.match_substring(texts, "e")
    broken = pc.utf8_rtrim(texts.filter(pc.and_(pc.match_substring(texts, "."), pc.invert(odd))), "0")
    behind = pc.subtract(pc.utf8_length(broken), pc.add(pc.find_substring(broken, "."), 1))
    return max((pc.max(behind).as_py() or 0, *(decimals_of(float(text)) for text in texts.filter(odd).to_pylist())))


def decimals_of(value: float) -> int:
    """The decimals that a number needs to be whole; 0 for what is not finite."""
    if not np.isfinite(value):
        return 0
    text = repr(float(value))
    if "e" not in text:
        return len(text.partition(".")[2].rstrip("0"))
    exponent = Decimal(text).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def written(value: float, decimals: int = 0) -> str:
    """A number for people, whole, with at least so many decimals; thousands apart."""
    needed = max(decimals_of(value), decimals)
    if needed > _MOST_DECIMALS or abs(value) >= _MOST_WHOLE or not np.isfinite(value):
        return repr(float(value))
    return f"{value:,.{needed}f}"


def volume_text(value: float, sources: int = 1) -> str:
    """A volume for people: whole, or without the last digits, which are noise, where it is a sum of several bars'."""
    return written(value if sources == 1 else summed(value))


def value_text(prices: NumberFormat, name: str, value: float) -> str:
    """One of the five values of a candle."""
    return volume_text(value) if name == "volume" else prices.text(value)


def summed(value: float) -> float:
    """A sum without its noise."""
    return in_digits(value, _SUM_DIGITS)


def in_digits(value: float, digits: int) -> float:
    """A number rounded to so many significant digits."""
    return float(f"{value:.{digits}g}")


def volume_unit(series: Series) -> str | None:
    """What the volume of a series counts: base units, contracts, ticks, shares; None if its provider has none."""
    if is_file_source(series.provider):
        return OF_FILES
    provider = PROVIDERS.get(series.provider)
    return provider.volume_unit_of(series.asset_pair) if provider else None


def unit_text(unit: str | None) -> str:
    """What a volume counts, in words, also where there is none."""
    return unit or NO_VOLUME


def _plain(value: float, decimals: int) -> str:
    return written(value, decimals).replace(",", "")
