"""Tests that no answer is read without a bound: bytes, records, error pages, compression and time."""

from __future__ import annotations

import gzip
import json
import threading
import time
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ffe_core.errors import AnswerTooLarge, RetriableError
from ffe_core.providers.body import Bounds, NotJson, _Gzip, decode_json
from ffe_core.providers.http import HttpClient, Refused
from tests.fake_exchanges import Answer, Fault, Market
from tests.providers.test_http import Scripted, client

MEGABYTE = 2**20
ONE_TRY = {"retry": {"attempts": 1, "base_delay_seconds": 0}, "http": {"read_timeout_seconds": 30}}


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted(Market()) as running:
        yield running


@asynccontextmanager
async def patient(server: Scripted, folder: Path, **options: Any) -> AsyncIterator[HttpClient]:
    """A client for which a busy machine is no fault; `http` is merged into its settings."""
    config = {**ONE_TRY, "http": {**ONE_TRY["http"], "total_timeout_seconds": 60, **options.pop("http", {})}}
    async with client(server, folder, config, **options) as acme:
        yield acme


# Bytes


async def test_a_body_up_to_the_setting_is_read_and_one_byte_more_is_not(server: Scripted, tmp_path: Path) -> None:
    async with patient(server, tmp_path, http={"max_body_mb": 0.5}) as acme:
        for extra in (0, 1):
            server.reply = lambda seen, extra=extra: Answer.text(
                json.dumps("x" * (MEGABYTE // 2 - 2 + extra)), "application/json"
            )
            if extra:
                with pytest.raises(
                    AnswerTooLarge, match=r"acme sent more than 0\.5 MB.*FFE_HTTP__MAX_BODY_MB"
                ) as caught:
                    await acme.get("/", {})
                assert caught.value.code == "answer_too_large"
            else:
                assert len(await acme.get("/", {})) == MEGABYTE // 2 - 2
    assert server.count() == 2, "asking again would change nothing"


async def test_unpacked_bytes_count_and_not_those_on_the_wire(server: Scripted, tmp_path: Path) -> None:
    server.fault(Fault.bomb(100), times=None)
    async with patient(server, tmp_path) as acme:
        tracemalloc.start()
        with pytest.raises(AnswerTooLarge):
            await acme.get("/", {})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert acme.bounds.size < 12 * MEGABYTE
    assert peak < acme.bounds.size + 8 * MEGABYTE


async def test_what_so_many_records_can_take_bounds_it_too(server: Scripted, tmp_path: Path) -> None:
    server.reply = lambda seen: Answer.text(" " * 3 * MEGABYTE + "1", "application/json")
    async with patient(server, tmp_path, most_records=100) as acme:
        with pytest.raises(AnswerTooLarge, match="more than 100 records can take") as caught:
            await acme.get("/", {})
    assert "MAX_BODY_MB" not in str(caught.value), "raising it would change nothing"


@pytest.mark.slow
async def test_only_one_body_at_a_time_is_larger_than_a_megabyte(server: Scripted, tmp_path: Path) -> None:
    server.reply = lambda seen: Answer.text(" " * (4 * MEGABYTE if seen.path == "/large" else 10) + "1", "text/plain")
    async with patient(server, tmp_path, http={"total_timeout_seconds": 3}) as acme:
        assert acme._opened is not None
        async with acme._opened.large:
            assert await acme.get("/small", {}) == 1
            with pytest.raises(RetriableError, match="did not answer in time"):
                await acme.get("/large", {})
        assert await acme.get("/large", {}) == 1
        assert not acme._opened.large.locked()


async def test_a_large_body_keeps_its_turn_until_it_is_parsed(server: Scripted, tmp_path: Path) -> None:
    server.reply = lambda seen: Answer.text(" " * (2 * MEGABYTE) + "1", "text/plain")
    async with patient(server, tmp_path) as acme:
        assert acme._opened is not None
        turn = acme._opened.large
        assert await acme.ask("/", {}, lambda data: turn.locked())
        assert not turn.locked()


async def test_the_error_of_a_body_keeps_no_body_alive(server: Scripted, tmp_path: Path) -> None:
    server.reply = lambda seen: Answer.text("[" + " " * (2 * MEGABYTE), "text/plain")
    async with patient(server, tmp_path) as acme:
        with pytest.raises(RetriableError) as caught:
            await acme.get("/", {})
    held: list[Any] = []
    error: BaseException | None = caught.value
    while error is not None:
        held += [value for frame, _ in traceback.walk_tb(error.__traceback__) for value in frame.f_locals.values()]
        error = error.__context__
    assert not [value for value in held if isinstance(value, bytes | str) and len(value) > MEGABYTE]


@pytest.mark.parametrize("status", [400, 404, 429, 503])
async def test_of_an_error_page_only_the_beginning_is_read(server: Scripted, tmp_path: Path, status: int) -> None:
    server.fault(Fault.drip(0.01, b"<p>We will be right back</p>".ljust(70_000), status), times=None)
    async with patient(server, tmp_path, http={"total_timeout_seconds": 5}) as acme:
        with pytest.raises((Refused, RetriableError), match=f"HTTP {status}: <p>We will be right back"):
            await acme.get("/", {})


async def test_an_error_page_may_be_a_bomb(server: Scripted, tmp_path: Path) -> None:
    server.fault(Fault.bomb(100, status=400), times=None)
    async with patient(server, tmp_path) as acme:
        with pytest.raises(Refused, match="HTTP 400"):
            await acme.get("/", {})


async def test_a_drip_ends_with_the_total_time_out(server: Scripted, tmp_path: Path) -> None:
    server.fault(Fault.drip(every=0.05), times=None)
    began = time.perf_counter()
    async with patient(server, tmp_path, http={"total_timeout_seconds": 1}) as acme:
        with pytest.raises(RetriableError, match=r"did not answer in time .*in all 1 s"):
            await acme.get("/", {})
    assert 1 <= time.perf_counter() - began < 10


# Records


def bounds(records: int = 10) -> Bounds:
    return Bounds("acme", records, 64)


@pytest.mark.parametrize("record", ["{}", "[]", "[[]]", "1", '{"a":{}}', '"x"', "null"])
def test_an_answer_of_far_too_many_records_is_refused_before_any_is_built(record: str) -> None:
    body = f'{{"candles":[{",".join([record] * 1_000_000)}]}}'.encode()
    tracemalloc.start()
    with pytest.raises(AnswerTooLarge, match=r"acme sent an answer of [\d,]{7,} values"):
        decode_json(body, bounds())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEGABYTE


def test_a_full_page_of_wordy_records_is_read() -> None:
    record = {f"field {n}": {"o": "1", "h": "2"} if n < 1 else "3" for n in range(10)}
    assert len(decode_json(json.dumps([record] * 5000).encode(), bounds(5000))) == 5000


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff\xfe\x00", b"9" * 5000])
def test_what_is_no_json_says_so(body: bytes) -> None:
    with pytest.raises(NotJson):
        decode_json(body, bounds())


def one_in(size: int) -> Answer:
    """The number 1 in a body of so many bytes."""
    return Answer.text("1".rjust(size), "application/json")


def loading(data: bytes) -> threading.Thread:
    """Read a body as candles are, with pandas loaded; where that was."""
    import_module("pandas")
    return threading.current_thread()


@pytest.mark.parametrize(("size", "where"), [(2**16, "MainThread"), (2**16 + 1, "parse")])
async def test_a_large_body_is_read_off_the_event_loop(server: Scripted, tmp_path: Path, size: int, where: str) -> None:
    server.reply = lambda seen: one_in(size)
    threads = []
    async with patient(server, tmp_path) as acme:
        await acme.ask("/", {}, loading)
        await acme.ask("/", {}, lambda data: threads.append(threading.current_thread()))
        await acme.get("/", {}, lambda body: threads.append(threading.current_thread()))
    assert {thread.name.partition("_")[0] for thread in threads} == {where}


async def test_what_loads_pandas_is_read_off_the_event_loop_too(server: Scripted, tmp_path: Path) -> None:
    server.reply = lambda seen: one_in(10)
    async with patient(server, tmp_path) as acme:
        first, second = [await acme.ask("/", {}, loading) for _ in range(2)]
    assert first.name.startswith("parse")
    assert second is threading.current_thread()


async def test_reading_counts_towards_the_total_time_out(server: Scripted, tmp_path: Path) -> None:
    server.reply = lambda seen: one_in(MEGABYTE)
    ended = threading.Event()
    async with patient(server, tmp_path, http={"total_timeout_seconds": 0.5}) as acme:
        with pytest.raises(RetriableError, match="did not answer in time"):
            await acme.ask("/", {}, lambda data: ended.wait(30))
    ended.set()


# Compression


@example(parts=[b"1", b"2"], cut=1, many=True)
@given(parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=5), cut=st.integers(1, 700), many=st.booleans())
def test_gzip_comes_back_however_it_is_cut(parts: list[bytes], cut: int, many: bool) -> None:
    packed = b"".join(map(gzip.compress, parts)) if many else gzip.compress(b"".join(parts))
    unpacker = _Gzip("acme")
    pieces = [piece for at in range(0, len(packed), cut) for piece in unpacker.feed(packed[at : at + cut])]
    assert b"".join([*pieces, unpacker.end()]) == b"".join(parts)


def test_pieces_of_what_was_packed_well_are_bounded() -> None:
    unpacker = _Gzip("acme")
    pieces = list(unpacker.feed(gzip.compress(b" " * 20 * MEGABYTE)))
    assert max(map(len, pieces)) <= MEGABYTE // 4
    assert sum(map(len, pieces)) + len(unpacker.end()) == 20 * MEGABYTE


def test_padding_after_the_end_is_no_fault() -> None:
    unpacker = _Gzip("acme")
    assert b"".join(unpacker.feed(gzip.compress(b"whole") + bytes(10))) + unpacker.end() == b"whole"


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (gzip.compress(b"[1]" * 100, mtime=0)[:-12], "gzip", "ends too early"),
        (b"", "gzip", "ends too early"),
        (b"not gzip", "gzip", "broken compressed body"),
        (zlib.compress(b"[1]"), "br", "packed as 'br'"),
    ],
    ids=["cut", "empty", "not gzip", "brotli"],  # a packed body holds the time, which would be part of its name
)
async def test_what_cannot_be_unpacked_is_worth_another_try(
    server: Scripted, tmp_path: Path, body: bytes, encoding: str, says: str
) -> None:
    server.reply = lambda seen: Answer(200, body, {"content-encoding": encoding})
    async with patient(server, tmp_path) as acme:
        with pytest.raises(RetriableError, match=says):
            await acme.get("/", {})


async def test_only_what_can_be_bounded_is_asked_for(server: Scripted, tmp_path: Path) -> None:
    async with patient(server, tmp_path) as acme:
        await acme.get("/", {})
    assert server.requests[0].headers["accept-encoding"] == "gzip"
