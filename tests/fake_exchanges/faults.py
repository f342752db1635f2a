"""Scripted faults: change a whole answer (`Fault`) or one record in it (`break_in`)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .market import Record
    from .server import Answer, Exchange, Seen

_BATCH = 1000
_ENDLESS = 2**40
MAINTENANCE = (
    "<!DOCTYPE html><html><head><title>Service Unavailable</title></head>"
    "<body><h1>We will be right back</h1></body></html>"
)


@dataclass(frozen=True)
class Fault:
    """Turns the honest answer to a request into another one. Make one with the methods below."""

    name: str
    apply: Callable[[Exchange, Seen, Answer], Answer]

    @classmethod
    def http(cls, status: int, body: str = '{"message":"scripted fault"}', **headers: str) -> Fault:
        """Another status. Header names may be spelled with underscores: `retry_after="2"`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"content-type": "application/json", **named}
        return cls(f"http {status}", lambda _exchange, _seen, answer: _plain(answer, status, body.encode(), sent))

    @classmethod
    def rate_limited(cls, retry_after: str | int | None = None) -> Fault:
        """429, with a Retry-After header (seconds or an HTTP date) when given."""
        body = '{"message":"Public rate limit exceeded"}'
        return cls.http(429, body) if retry_after is None else cls.http(429, body, retry_after=str(retry_after))

    @classmethod
    def maintenance(cls) -> Fault:
        """503 with an HTML page."""
        return cls.http(503, MAINTENANCE, content_type="text/html; charset=utf-8")

    @classmethod
    def html(cls) -> Fault:
        """200 with an HTML page."""
        return cls.http(200, MAINTENANCE, content_type="text/html; charset=utf-8")

    @classmethod
    def drop(cls, after: int | None = None) -> Fault:
        """The socket is closed: in the middle of the body, after that many bytes, or (0) before any answer."""
        return cls("drop", lambda _exchange, _seen, answer: replace(answer, close_after=_cut(answer, after)))

    @classmethod
    def truncated(cls) -> Fault:
        """A complete HTTP answer whose JSON ends in the middle."""
        return cls("truncated", lambda _exchange, _seen, answer: replace(answer, body=answer.body[: _cut(answer)]))

    @classmethod
    def other_shape(cls, body: str = '{"unexpected":[1,2,3]}') -> Fault:
        """200 with valid JSON of another shape."""
        return replace(cls.http(200, body), name="other shape")

    @classmethod
    def hang(cls) -> Fault:
        """Never answers: the connection stays open until the client gives up or the server stops."""
        return cls("hang", lambda _exchange, _seen, answer: replace(answer, hang=True))

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """The honest answer, late."""
        return cls("slow", lambda _exchange, _seen, answer: replace(answer, delay=answer.delay + seconds))

    @classmethod
    def empty_page(cls) -> Fault:
        """200, well-formed, without candles."""
        return cls("empty page", lambda exchange, seen, _answer: exchange.empty_page(seen))

    @classmethod
    def answer_for(cls, **params: str) -> Fault:
        """The honest answer to another question: `path` replaces a part of the path, `old->new`, others parameters."""
        old, _, new = params.pop("path", "->").partition("->")

        def apply(exchange: Exchange, seen: Seen, _answer: Answer) -> Answer:
            return exchange.answer(replace(seen, path=seen.path.replace(old, new), params={**seen.params, **params}))

        return cls(f"answer for {old}->{new} {params}", apply)

    @classmethod
    def rewritten(cls, old: str, new: str) -> Fault:
        """The honest answer with one text in its body replaced, everywhere."""

        def apply(_exchange: Exchange, _seen: Seen, answer: Answer) -> Answer:
            assert old.encode() in answer.body, f"{old!r} is not in the answer"
            return replace(answer, body=answer.body.replace(old.encode(), new.encode()))

        return cls(f"{old} -> {new}", apply)

    @classmethod
    def many_records(cls, count: int = 3_000_000, record: str = "{}", status: int = 200) -> Fault:
        """A well-formed answer with that many records under `candles`; gzipped, as it would be sent."""
        assert count % _BATCH == 0
        batches = repeat(f",{record}" * _BATCH, count // _BATCH)
        return cls._packed("many records", status, chain(('{"candles":[null',), batches, ("]}",)))

    @classmethod
    def bomb(cls, megabytes: int = 500, status: int = 200) -> Fault:
        """A JSON text of that many megabytes, packed to a thousandth of it."""
        return cls._packed("bomb", status, chain(('{"candles":"',), repeat(" " * 2**20, megabytes), ('"}',)))

    @classmethod
    def huge_page(cls, megabytes: int = 200, status: int = 503) -> Fault:
        """An error page that long, sent in chunks as long as anybody listens."""
        piece = b"<p>We will be right back</p>".ljust(2**20)
        headers = {"content-type": "text/html"}
        return cls(
            "huge page",
            lambda _exchange, _seen, answer: replace(
                answer, status=status, body=piece, headers=headers, repeat=megabytes
            ),
        )

    @classmethod
    def drip(cls, every: float = 0.2, piece: bytes = b" ", status: int = 200) -> Fault:
        """An answer that never ends: a piece of its body now and then."""
        headers = {"content-type": "application/json"}
        return cls(
            "drip",
            lambda _exchange, _seen, answer: replace(
                answer, status=status, body=piece, headers=headers, repeat=_ENDLESS, every=every
            ),
        )

    @classmethod
    def _packed(cls, name: str, status: int, pieces: Iterable[str]) -> Fault:
        packer = zlib.compressobj(9, wbits=31)
        packed = b"".join([*(packer.compress(piece.encode()) for piece in pieces), packer.flush()])
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        return cls(name, lambda _exchange, _seen, answer: _plain(answer, status, packed, headers))

    @classmethod
    def alpha_vantage(cls, kind: str) -> Fault:
        """One of Alpha Vantage's 200 answers that are errors; kinds in `alpha_vantage.REFUSALS`."""
        from .alpha_vantage import refusal

        refusal(kind, "", "")
        return cls(f"alpha vantage {kind}", lambda _exchange, seen, _answer: refusal(kind, *_asked(seen)))


def _plain(answer: Answer, status: int, body: bytes, headers: dict[str, str]) -> Answer:
    return replace(answer, status=status, body=body, headers=headers)


def _cut(answer: Answer, after: int | None = None) -> int:
    return len(answer.body) // 2 if after is None else after


def _asked(seen: Seen) -> tuple[str, str]:
    return seen.params.get("apikey", ""), seen.params.get("function", "")


@dataclass
class Script:
    """A fault waiting for its requests. `hits` counts the requests it answered."""

    fault: Fault
    times: int | None
    when: Callable[[Seen], bool]
    hits: int = 0

    def takes(self, seen: Seen) -> bool:
        """Whether this script decides the request; counts it if so."""
        if (self.times is not None and self.hits >= self.times) or not self.when(seen):
            return False
        self.hits += 1
        return True

    def cancel(self) -> None:
        """Lets no further request fail."""
        self.times = self.hits


def break_in(records: list[Record], kind: str, **options: Any) -> list[Record]:
    """The records with the last one broken. ValueError for an unknown kind or a field that does not exist.

    | kind | what is sent |
    |---|---|
    | high_below_low | high 1 % below low |
    | open_outside, close_outside | open above high, close below low |
    | negative | a minus before `field` (default low) |
    | null | JSON null in `field` (default close) |
    | nan, infinity | the text "NaN", "Infinity" in `field` |
    | bare_nan, bare_infinity | NaN, Infinity without quotes, as Python's json reads them |
    | text | "n/a" in `field` |
    | set | `value` in `field` |
    | missing | no `field` at all ("time" leaves the time out) |
    | repeat | the record twice |
    | repeat_different | and the second time with a higher high |
    | bad_time | "not-a-time" as its time |
    | not_a_record | a text where an object belongs |
    """
    if kind not in _BREAKS:
        raise ValueError(f"unknown kind of broken record {kind!r}: one of {', '.join(sorted(_BREAKS))}")
    return records[:-1] + _BREAKS[kind](deepcopy(records[-1]), **options)


def _scaled(value: Any, factor: str) -> str:
    """A price times a factor, as text; what is not a number any more stays out of reach of a second break."""
    try:
        return f"{Decimal(value) * Decimal(factor):f}"
    except (InvalidOperation, TypeError, ValueError) as reason:
        raise ValueError(f"cannot scale {value!r}: this record is broken already") from reason


def _set(record: Record, field: str, value: Any) -> list[Record]:
    if field not in record.fields:
        raise ValueError(f"no field {field!r} in a record: one of {', '.join(record.fields)}")
    record.fields[field] = value
    return [record]


def _setter(value: Any) -> Callable[..., list[Record]]:
    return lambda record, field="close": _set(record, field, value)


def _negative(record: Record, field: str = "low") -> list[Record]:
    return _set(record, field, _scaled(record.fields[field], "-1"))


def _missing(record: Record, field: str = "close") -> list[Record]:
    if field == "time":
        record.time = None
    elif record.fields.pop(field, record) is record:
        raise ValueError(f"no field {field!r} in a record: one of time, {', '.join(record.fields)}")
    return [record]


def _repeat_different(record: Record) -> list[Record]:
    second = deepcopy(record)
    return [record, *_set(second, "high", _scaled(record.fields["high"], "1.01"))]


def _bad_time(record: Record) -> list[Record]:
    record.time = "not-a-time"
    return [record]


def _not_a_record(record: Record) -> list[Record]:
    record.element = "not a record"
    return [record]


def _outside(field: str, edge: str, factor: str) -> Callable[[Record], list[Record]]:
    return lambda record: _set(record, field, _scaled(record.fields[edge], factor))


_BREAKS: dict[str, Callable[..., list[Record]]] = {
    "high_below_low": _outside("high", "low", "0.99"),
    "open_outside": _outside("open", "high", "1.01"),
    "close_outside": _outside("close", "low", "0.99"),
    "negative": _negative,
    "null": _setter(None),
    "nan": _setter("NaN"),
    "infinity": _setter("Infinity"),
    "bare_nan": _setter(float("nan")),
    "bare_infinity": _setter(float("inf")),
    "text": _setter("n/a"),
    "set": _set,
    "missing": _missing,
    "repeat": lambda record: [record, deepcopy(record)],
    "repeat_different": _repeat_different,
    "bad_time": _bad_time,
    "not_a_record": _not_a_record,
}
