"""Answer strategies: draw bodies as text, most of them plain, some odd, some broken.

They are drawn as text and not as values, so that what no encoder writes is among them: a field twice, NaN, a number of
five thousand digits, half of a document, two of them, bytes that are no UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

from hypothesis import strategies as st

from ffe_core import times

MINUTE = 60
START = 1_704_153_600
"""2024-01-02 00:00 UTC."""
BARS = 12
_LONG = "9" * 5000
_EXTRA = (
    '"x":null',
    '"x":[{"y":1e400}]',
    '"incomplete_sources":[]',
    '"date":"2024-01-02T00:00:00+00:00"',
    '"open":"1"',
)
_ODD = ("null", "true", "[]", "{}", '""', "NaN", "1e999", _LONG, '"\\ud800"', '"\\u0031"')
_PRICES = ('"1.10003"', '"1.1"', '"2"', '"1e0"', '"0.5"')
_WRONG_PRICES = ('"0"', '"-1.1"', '"NaN"', '"inf"', '"-Infinity"', '"1e400"')
_ODD_PRICES = ('"1_0"', '" 1.1"', '"1.1 "', '"٣"', '"0x1"', "1.1", "1", "0", *_ODD)
_ELEMENTS = ("null", "1", '"x"', "[]", "{}", "true")

Texts = st.SearchStrategy[str]


class Draw:
    """Draws parts of a body, of which one in `oddness` is odd; none where that is 0."""

    def __init__(self, oddness: int) -> None:
        self._oddness = oddness

    def mostly(self, usual: Texts, odd: Texts) -> Texts:
        """The usual one, or now and then the odd one."""
        if not self._oddness:
            return usual
        return st.integers(1, self._oddness).flatmap(lambda dice: odd if dice == self._oddness else usual)

    def prices(self) -> Texts:
        """Mostly the text of a number; every tenth or so is no price, though it reads well."""
        sent = st.integers(0, 9).flatmap(lambda dice: st.sampled_from(_WRONG_PRICES if dice == 9 else _PRICES))
        return self.mostly(sent, st.sampled_from(_ODD_PRICES))

    def object_of(self, fields: Sequence[tuple[str, Texts]]) -> Texts:
        """A JSON object: mostly each field once; or in another order, without one, with one twice or one more."""
        members = [values.map(f'"{name}":{{}}'.format) for name, values in fields]
        mixed = st.permutations(members)
        odd = st.one_of(
            mixed.flatmap(lambda drawn: st.tuples(*drawn)),
            mixed.flatmap(lambda drawn: st.tuples(*drawn[1:])),
            mixed.flatmap(lambda drawn: st.tuples(*drawn, *drawn[:1])),
            mixed.flatmap(lambda drawn: st.tuples(*drawn, st.sampled_from(_EXTRA))),
        )
        return self.mostly(st.tuples(*members), odd).map(lambda texts: "{" + ",".join(texts) + "}")

    def list_of(self, candles: Texts) -> Texts:
        """A list of candles, seldom with something else in it or something else instead."""
        elements = self.mostly(candles, self.mostly(candles, st.sampled_from(_ELEMENTS)))
        listed = st.lists(elements, max_size=BARS).map(lambda texts: "[" + ",".join(texts) + "]")
        return self.mostly(listed, self.mostly(listed, st.sampled_from(("null", "{}", "1"))))

    def body_of(self, text: Texts) -> st.SearchStrategy[bytes]:
        """Mostly a text as it is; or cut, doubled, followed or led by something, or with bytes changed in it."""
        if not self._oddness:
            return text.map(str.encode)
        return text.flatmap(lambda drawn: st.integers(0, 9).flatmap(partial(_sent, drawn)))


def _sent(text: str, dice: int) -> st.SearchStrategy[bytes]:
    tails = ("\n", "  ", "\x00", "null", "{}", ",", "]", "x", "\x0c", "\u00a0", "\ufeff", text, "\n" + text)
    octets = text.encode()
    ways: dict[int, st.SearchStrategy[bytes]] = {
        4: st.just(text.replace(",", ",\r\n\t ").encode()),
        5: st.sampled_from(tails).map(lambda tail: (text + tail).encode()),
        6: st.sampled_from(tails).map(lambda head: (head + text).encode()),
        7: st.integers(0, len(octets)).map(lambda at: octets[:at]),
        8: st.tuples(st.integers(0, len(octets)), st.binary(max_size=2)).map(
            lambda change: octets[: change[0]] + change[1] + octets[change[0] + 1 :]
        ),
        9: st.sampled_from(["utf-16", "utf-32", "utf-8-sig"]).map(text.encode),
    }
    return ways.get(dice, st.just(octets))


def _opens() -> st.SearchStrategy[int]:
    """Mostly the opens of a page, at times beside it or beside the grid."""
    on_grid = st.integers(-1, BARS).map(lambda at: START + at * MINUTE)
    return st.one_of(on_grid, on_grid, on_grid, on_grid, st.integers(START - 90, START + BARS * MINUTE))


_ODD_OANDA_TIMES = (
    '"2024-01-02T00:01:00Z"',
    '"2024-01-02T00:01:00.5Z"',
    '"2024-01-02T00:01:00.000000001Z"',
    '"2024-01-02T00:01:00.000000Z"',
    '"2024-01-02T02:01:00.000000000+02:00"',
    '"2024-01-02T00:01.000000000Z"',
    '"2024-01-02 00:01:00.000000000Z"',
    '"2024-01-02T00:01:00.000.000000000Z"',
    '"2024-02-30T00:01:00.000000000Z"',
    '"2024-01-02T24:00:00.000000000Z"',
    '"0000-01-02T00:01:00.000000000Z"',
    '"0001-01-02T00:01:00.000000000Z"',
    '"9999-01-02T00:01:00.000000000Z"',
    '".000000000Z"',
    '"1704153660.000000000"',
    "1704153660",
    *_ODD,
)
_ODD_COUNTS = ("1.0", "1e3", '"5"', str(2**53 + 1), str(2**63), str(2**64), str(-(2**70)), *_ODD)


def _oanda(draw: Draw) -> st.SearchStrategy[bytes]:
    usual = st.sampled_from
    opens = _opens().map(lambda at: f'"{times.iso(at)[:19]}.000000000Z"')
    volumes = st.one_of(st.integers(0, 10**6), st.integers(-2, 3)).map(str)
    mid = draw.object_of([(name, draw.prices()) for name in "ohlc"])
    candle = draw.object_of(
        [
            ("complete", draw.mostly(usual(("true", "true", "true", "false")), usual(("1", '"false"', *_ODD)))),
            ("volume", draw.mostly(volumes, usual(_ODD_COUNTS))),
            ("time", draw.mostly(opens, usual(_ODD_OANDA_TIMES))),
            ("mid", draw.mostly(mid, usual(_ODD))),
        ]
    )
    instruments = ('"EUR/USD"', '"eurusd"', '"GBP_USD"', *_ODD)
    answer = draw.object_of(
        [
            ("instrument", draw.mostly(st.just('"EUR_USD"'), usual(instruments))),
            ("granularity", draw.mostly(st.just('"M1"'), usual(('"H1"', '"m1"', *_ODD)))),
            ("candles", draw.list_of(candle)),
        ]
    )
    return draw.body_of(answer)


_ODD_STARTS = (
    '""',
    '"-60"',
    '"+1704153660"',
    '"0x6593F000"',
    '"001704153660"',
    '"1704153660.0"',
    '" 1704153660"',
    '"١٧"',
    '"253402300740"',
    '"253402300800"',
    '"99999999999999999999"',
    "1704153660",
    *_ODD,
)


def _coinbase(draw: Draw) -> st.SearchStrategy[bytes]:
    starts = draw.mostly(_opens().map(lambda at: f'"{at}"'), st.sampled_from(_ODD_STARTS))
    prices = [(name, draw.prices()) for name in ("low", "high", "open", "close", "volume")]
    return draw.body_of(draw.object_of([("candles", draw.list_of(draw.object_of([("start", starts), *prices])))]))


_ODDNESS = (0, 0, 100, 30, 8)


@cache
def oanda() -> st.SearchStrategy[bytes]:
    """Answers to a question for the minutes of EUR_USD, the echo of another one among them."""
    return st.one_of(*(_oanda(Draw(oddness)) for oddness in _ODDNESS))


@cache
def coinbase() -> st.SearchStrategy[bytes]:
    """Answers with minutes of some product."""
    return st.one_of(*(_coinbase(Draw(oddness)) for oddness in _ODDNESS))
