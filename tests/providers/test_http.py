"""Tests that every answer is sorted by what to do about it, and that the client is quiet, patient and clean."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ffe_core import times
from ffe_core.errors import InputError, PermanentError, ProviderError, QuotaError, RetriableError
from ffe_core.providers import address, http, transport
from ffe_core.providers.http import HttpClient, Refused, RequestStats, other_shape, request_stats
from ffe_core.redaction import redact, register
from ffe_core.settings import Settings
from tests.fake_exchanges import Answer, Exchange, Fault, Market, Seen
from tests.providers.contract import settings

SECRET = "query-s3cret-42"
LOGIN_AS_SENT = base64.b64encode(b"ann:hunter@2secret").decode()


class Scripted(Exchange):
    """Answers with whatever the test says."""

    reply: Callable[[Seen], Answer] = staticmethod(lambda seen: Answer.json({"ok": True}))

    def answer(self, request: Seen) -> Answer:
        return self.reply(request)

    def empty_page(self, request: Seen) -> Answer:
        return Answer.json({})


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted(Market()) as running:
        yield running


@asynccontextmanager
async def client(
    server: Exchange, folder: Path, config: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[HttpClient]:
    made = HttpClient(
        "acme", Settings.load(settings(folder, **(config or {}))), server.url, options.pop("rate", 1000.0), **options
    )
    async with made:
        yield made


def once(attempts: int = 1) -> dict[str, Any]:
    return {"retry": {"attempts": attempts, "base_delay_seconds": 0}}


# Answers


async def test_json_comes_back_parsed(server: Scripted, tmp_path: Path) -> None:
    async with client(server, tmp_path) as acme:
        assert await acme.get("/x", {"a": "1 2&3"}) == {"ok": True}
    (seen,) = server.requests
    assert (seen.path, seen.params) == ("/x", {"a": "1 2&3"})
    assert seen.headers["user-agent"] == "ffe-console"


async def test_a_compressed_body_is_read(server: Scripted, tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps({"n": list(range(1000))}).encode())
    server.reply = lambda seen: Answer(200, packed, {"content-encoding": "gzip"})
    async with client(server, tmp_path) as acme:
        assert (await acme.get("/", {}))["n"][-1] == 999


async def test_a_broken_compressed_body_is_worth_another_try(server: Scripted, tmp_path: Path) -> None:
    server.reply = lambda seen: (
        Answer(200, b"not gzip", {"content-encoding": "gzip"}) if seen.number == 1 else Answer.json([1])
    )
    async with client(server, tmp_path) as acme:
        assert await acme.get("/", {}) == [1]


@pytest.mark.parametrize("body", ["", "[1,", "<html>", "\ufeff", '{"a":1}{"b":2}', "[" * 100_000])
async def test_what_is_not_json_is_worth_another_try(server: Scripted, tmp_path: Path, body: str) -> None:
    server.reply = lambda seen: Answer.text(body, "application/json")
    async with client(server, tmp_path, once(2)) as acme:
        with pytest.raises(RetriableError, match=r"acme answered with something other than JSON.*try 2 of 2"):
            await acme.get("/", {})
    assert server.count() == 2


@pytest.mark.parametrize("status", [202, 203, 206, 408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_pass_is_asked_again(server: Scripted, tmp_path: Path, status: int) -> None:
    server.fault(Fault.http(status), times=2)
    async with client(server, tmp_path) as acme:
        assert await acme.get("/", {}) == {"ok": True}
    assert server.count() == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422])
async def test_what_will_not_pass_is_final_and_quoted(server: Scripted, tmp_path: Path, status: int) -> None:
    server.fault(Fault.http(status, '{"why":"because"}'), times=None)
    async with client(server, tmp_path, error_text=lambda body: body.get("why"), access_hint="check the badge") as acme:
        with pytest.raises(Refused, match=f"acme answered HTTP {status}: because") as caught:
            await acme.get("/", {})
    assert (caught.value.status, caught.value.text) == (status, "because")
    assert ("check the badge" in str(caught.value)) == (status in (401, 403))
    assert server.count() == 1


async def test_a_final_answer_in_a_foreign_form_points_at_the_base_url(server: Scripted, tmp_path: Path) -> None:
    server.fault(Fault.http(404, "<html><body>Nothing here</body></html>"))
    async with client(server, tmp_path, error_text=lambda body: None) as acme:
        with pytest.raises(Refused, match=rf"Nothing here.*check that {server.url} is the base URL of acme") as caught:
            await acme.get("/", {})
    assert caught.value.text is None


async def test_a_redirect_is_not_followed(server: Scripted, tmp_path: Path) -> None:
    server.fault(Fault.http(302, "moved", location="/elsewhere"))
    async with client(server, tmp_path) as acme:
        with pytest.raises(PermanentError, match="HTTP 302"):
            await acme.get("/", {})
    assert [seen.path for seen in server.requests] == ["/"]


async def test_nobody_listening_is_worth_another_try(tmp_path: Path) -> None:
    with Scripted(Market()) as gone:
        pass_by = HttpClient("acme", Settings.load(settings(tmp_path)), gone.url, 1000.0)
    async with pass_by:
        with pytest.raises(RetriableError, match=r"acme: the connection to http://127\.0\.0\.1:\d+ failed"):
            await pass_by.get("/", {})


@pytest.mark.parametrize("url", ["http://", "http://[::1"])
async def test_what_is_no_address_is_final(tmp_path: Path, url: str) -> None:
    acme = HttpClient("acme", Settings.load(settings(tmp_path)), url, 1000.0)
    async with acme:
        with pytest.raises(PermanentError, match="is not a URL"):
            await acme.get("/", {})


async def test_the_time_of_a_whole_request_is_bounded(server: Scripted, tmp_path: Path) -> None:
    limits = {"connect_timeout_seconds": 60, "read_timeout_seconds": 60, "total_timeout_seconds": 0.2}
    server.fault(Fault.hang(), times=None)
    async with client(server, tmp_path, {**once(), "http": limits}) as acme:
        with pytest.raises(RetriableError, match=r"did not answer in time .*in all 0\.2 s"):
            await acme.get("/", {})


# Retries


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Wed, 15 May 2024 10:37:50 GMT", 30.0),
        ("Wed, 15 May 2024 10:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(monkeypatch: pytest.MonkeyPatch, value: str, seconds: float | None) -> None:
    monkeypatch.setattr(times, "now", lambda: 1_715_769_440)
    assert http._retry_after(httpx.Response(429, headers={"retry-after": value})) == seconds


async def test_the_provider_says_how_long_and_otherwise_it_doubles(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(http.asyncio, "sleep", noted)
    server.fault(Fault.http(500), times=2)
    server.fault(Fault.http(503, retry_after="0"))
    server.fault(Fault.http(500))
    config = {"retry": {"attempts": 5, "base_delay_seconds": 5}}
    async with client(server, tmp_path, config) as acme:
        assert await acme.get("/", {}) == {"ok": True}
    assert [seconds for seconds in slept if seconds == 0 or seconds >= 5] == [5, 10, 0, 40]


@pytest.mark.parametrize("retry_after", [None, "30"])
async def test_a_429_holds_everyone_back(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retry_after: str | None
) -> None:
    held: list[float] = []
    monkeypatch.setattr(http, "LONGEST_WAIT", 0.25)
    server.fault(Fault.rate_limited(retry_after))
    config = {"retry": {"attempts": 2, "base_delay_seconds": 0.25}}
    async with client(server, tmp_path, config) as acme:
        monkeypatch.setattr(acme._pace, "hold_back", held.append)
        assert await acme.get("/", {}) == {"ok": True}
    assert held == [0.25]


async def test_a_server_error_holds_nobody_back(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[float] = []
    server.fault(Fault.http(500))
    async with client(server, tmp_path) as acme:
        monkeypatch.setattr(acme._pace, "hold_back", held.append)
        await acme.get("/", {})
    assert held == []


@pytest.mark.parametrize(("even", "held"), [(True, [0.01, 0.01]), (False, [])])
async def test_an_even_pace_counts_from_when_each_request_was_sent(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, even: bool, held: list[float]
) -> None:
    seen: list[float] = []
    async with client(server, tmp_path, rate=100.0, even_pace=even) as acme:
        monkeypatch.setattr(acme._pace, "hold_back", seen.append)
        await acme.get("/", {})
        await acme.get("/", {})
    assert seen == held


async def test_the_check_may_refuse_a_200(server: Scripted, tmp_path: Path) -> None:
    def check(body: Any) -> None:
        if server.count() < 3:
            raise RetriableError("acme says wait")

    async with client(server, tmp_path) as acme:
        assert await acme.get("/", {}, check) == {"ok": True}
    assert server.count() == 3


async def test_a_used_up_quota_is_asked_for_only_once(server: Scripted, tmp_path: Path) -> None:
    def check(body: Any) -> None:
        raise QuotaError("acme: used up")

    async with client(server, tmp_path, max_connections=1) as acme:
        ended = await asyncio.gather(*(acme.get("/", {}, check) for _ in range(5)), return_exceptions=True)
        assert [type(error) for error in ended] == [QuotaError] * 5
        with pytest.raises(QuotaError, match="acme: used up"):
            await acme.get("/", {})
        assert server.count() == 1
        await acme.__aexit__()
        async with acme:
            assert await acme.get("/", {}) == {"ok": True}


async def test_requests_and_retries_are_counted_for_the_task(server: Scripted, tmp_path: Path) -> None:
    server.fault(Fault.http(500), number=1)
    counters = [RequestStats(), RequestStats()]

    async def asked(counter: RequestStats, times_: int) -> None:
        request_stats.set(counter)
        for _ in range(times_):
            await acme.get("/", {})

    async with client(server, tmp_path) as acme:
        await asyncio.create_task(asked(counters[0], 1))
        await asyncio.create_task(asked(counters[1], 2))
    assert counters == [RequestStats(requests=2, retries=1), RequestStats(requests=2, retries=0)]


# Connections and cancelling


async def test_connections_are_kept(server: Scripted, tmp_path: Path) -> None:
    async with client(server, tmp_path) as acme:
        for _ in range(5):
            await acme.get("/", {})
    assert (server.count(), server.connections) == (5, 1)


async def test_there_are_never_more_connections_than_allowed(server: Scripted, tmp_path: Path) -> None:
    server.latency = 0.02
    async with client(server, tmp_path, max_connections=2) as acme:
        await asyncio.gather(*(acme.get("/", {}) for _ in range(20)))
    assert server.count() == 20
    assert server.connections <= 2
    assert server.max_in_flight == 2


async def test_waiting_for_a_free_connection_is_no_time_out(server: Scripted, tmp_path: Path) -> None:
    limits = {"connect_timeout_seconds": 5, "read_timeout_seconds": 5, "total_timeout_seconds": 0.5}
    server.latency = 0.1
    async with client(server, tmp_path, {**once(), "http": limits}, max_connections=1) as acme:
        await asyncio.gather(*(acme.get("/", {}) for _ in range(8)))
    assert server.count() == 8


async def test_a_cancelled_request_leaves_the_client_usable(server: Scripted, tmp_path: Path) -> None:
    server.fault(Fault.hang())
    async with client(server, tmp_path, max_connections=1) as acme:
        task = asyncio.create_task(acme.get("/", {}))
        await asyncio.to_thread(server.wait_for_requests, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await acme.get("/", {}) == {"ok": True}


async def test_cancelled_requests_leave_no_queue_of_slots_behind(server: Scripted, tmp_path: Path) -> None:
    async with client(server, tmp_path, rate=0.02, max_connections=16) as acme:
        tasks = [asyncio.create_task(acme.get("/", {})) for _ in range(10)]
        await asyncio.to_thread(server.wait_for_requests, 1)
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        taken = acme._pace._change(lambda state: state).free_at - server.requests[0].time
    assert taken <= 2 * acme._pace._step + 1


# Secrets


async def test_a_secret_reaches_the_server_and_nothing_else(
    server: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register(SECRET)
    caplog.set_level(logging.DEBUG)
    server.fault(Fault.http(500))
    server.fault(Fault.drop(after=0))
    server.fault(Fault.http(400, f"{'x' * 295} {SECRET}"))
    async with client(server, tmp_path, secret_query={"apikey": SECRET}) as acme:
        with pytest.raises(PermanentError) as caught:
            await acme.get("/", {"symbol": "X"})
    assert [seen.params for seen in server.requests] == [{"symbol": "X", "apikey": SECRET}] * 3
    said = caplog.text + repr(caught.value) + "".join(repr(record.__dict__) for record in caplog.records)
    assert "symbol=X" in said
    assert SECRET[:5] not in said


LOGINS = {
    "ann:hunter2secret": ["hunter2secret"],
    "ann:hunter%402secret": ["hunter%402secret", "hunter@2secret"],
    "ann:hunter2/secret": ["hunter2/secret"],
    "hunter2secret": ["hunter2secret"],
}


@pytest.mark.parametrize(("login", "passwords"), LOGINS.items())
async def test_a_login_in_the_base_url_is_in_no_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, login: str, passwords: list[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with Scripted(Market()) as gone:
        host = gone.url.removeprefix("http://")
    acme = HttpClient("acme", Settings.load(settings(tmp_path, **once())), f"http://{login}@{host}/a?b=c", 1000.0)
    async with acme:
        with pytest.raises(ProviderError) as caught:
            await acme.get("/x", {})
    said = repr(caught.value) + caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    assert f"http://{host}/a" in str(caught.value)
    assert not any(password in said for password in passwords)
    assert [redact(password) for password in passwords] == ["***"] * len(passwords)


async def test_a_login_in_the_base_url_reaches_the_server_and_nothing_else(
    server: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.fault(Fault.http(404, "Nothing here"), number=2)
    url = server.url.replace("//", "//ann:hunter%402secret@")
    async with HttpClient("acme", Settings.load(settings(tmp_path)), url, 1000.0) as acme:
        await acme.get("/x", {})
        with pytest.raises(Refused, match=rf"check that {server.url} is the base URL of acme") as caught:
            await acme.get("/x", {})
    assert {seen.headers["authorization"] for seen in server.requests} == {f"Basic {LOGIN_AS_SENT}"}
    said = repr(caught.value) + caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    assert not any(secret in said for secret in ("hunter", LOGIN_AS_SENT))


def test_a_body_of_another_shape_is_quoted_without_secrets_or_halves_of_them() -> None:
    register(SECRET)
    for padding in range(250, 320):
        text = str(other_shape("acme", {"key": "x" * padding + SECRET}))
        assert not any(SECRET[:length] in text for length in range(5, len(SECRET)))


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://api.example.com", {"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ("https://api.example.com", {"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ("https://api.example.com", {"ALL_PROXY": "http://proxy:1"}, "http://proxy:1"),
        ("https://api.example.com", {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "example.com"}, None),
        ("http://api.example.com", {"HTTPS_PROXY": "http://proxy:1"}, None),
        ("http://127.0.0.1:8000", {"HTTP_PROXY": "http://proxy:1"}, None),
        ("http://[::1", {"HTTP_PROXY": "http://proxy:1"}, None),
    ],
)
def test_the_proxy_of_the_environment_is_used_except_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], proxy: str | None
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert address.proxy_for(url) == proxy


@pytest.mark.parametrize("proxy", ["http://ann:hunter2/secret@proxy:1", "ftp://ann:hunter2secret@proxy:1"])
async def test_a_proxy_that_is_none_is_refused_without_its_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setattr(transport, "proxy_for", lambda base_url: proxy)
    acme = HttpClient("acme", Settings.load(settings(tmp_path)), "http://api.example.com", 1000.0)
    with pytest.raises(InputError, match=r"HTTPS_PROXY.*//proxy:1' is not a proxy") as caught:
        await acme.__aenter__()
    assert "hunter2" not in str(caught.value)
