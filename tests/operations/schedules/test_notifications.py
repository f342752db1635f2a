"""Who is told? A real receiver that refuses, hangs, comes back or is gone; the address never shows."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import InputError, PermanentError, RetriableError
from ffe_core.operations.schedules.notifications import WAITS, Notifier
from ffe_core.settings import Settings
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.schedules import ScheduleStore
from tests.operations.schedules.harness import Clock

_SECRET = "T0PSECRETPATH"


class Receiver(ThreadingHTTPServer):
    """Answers with `status` and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, Any]]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/{_SECRET}?thread=1"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, self.headers["Host"], body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock(4_000_000_000.0)


def notices(folder: Path, url: str | None, clock: Clock, **more: Any) -> tuple[Notifier, ScheduleStore]:
    store = ScheduleStore(Database(folder / "console.db"))
    settings = Settings.load({"data_dir": str(folder), "webhook": {"url": url, "timeout_seconds": 5, **more}})
    return Notifier(settings, store, clock=clock), store


def test_a_message_arrives_with_a_text(tmp_path: Path, receiver: Receiver, clock: Clock) -> None:
    told, store = notices(tmp_path, receiver.url, clock)
    told.tell("run failed", "Schedule Majors: run 12 failed.", schedule="Majors", run=12)
    told.send_pending()
    [(path, host, body)] = receiver.got
    assert (path, host) == (f"/services/{_SECRET}?thread=1", f"127.0.0.1:{receiver.server_port}")
    at = body.pop("at")
    assert at > 0
    assert body == {"text": "Schedule Majors: run 12 failed.", "event": "run failed", "schedule": "Majors", "run": 12}
    assert [(row.state, row.attempts) for row in store.notices()] == [(schedule_states.DELIVERED, 1)]
    told.send_pending()
    assert len(receiver.got) == 1


def test_a_receiver_that_is_down_is_tried_again_and_given_up(tmp_path: Path, receiver: Receiver, clock: Clock) -> None:
    told, store = notices(tmp_path, receiver.url, clock)
    told.tell("run failed", "one")
    receiver.status = 503
    for wait in WAITS:
        told.send_pending()
        [row] = store.notices()
        assert (row.state, row.next_at) == (schedule_states.PENDING, clock.at + wait)
        clock.at += wait - 1
        told.send_pending()
        clock.at += 1
    told.send_pending()
    [row] = store.notices()
    assert (row.state, row.attempts, row.error) == (
        schedule_states.GIVEN_UP,
        5,
        "the webhook answered HTTP 503",
    )
    assert len(receiver.got) == 5


def test_a_receiver_that_comes_back_gets_what_waited(tmp_path: Path, receiver: Receiver, clock: Clock) -> None:
    told, store = notices(tmp_path, receiver.url, clock)
    receiver.status = 429
    told.tell("run failed", "one")
    told.send_pending()
    receiver.status = 204
    clock.at += WAITS[0]
    told.send_pending()
    assert [row.state for row in store.notices()] == [schedule_states.DELIVERED]


@pytest.mark.parametrize("status", [301, 400, 404, 410])
def test_a_final_answer_is_not_tried_again(tmp_path: Path, receiver: Receiver, clock: Clock, status: int) -> None:
    told, store = notices(tmp_path, receiver.url, clock)
    receiver.status = status
    told.tell("run failed", "one")
    told.send_pending()
    [row] = store.notices()
    assert (row.state, row.attempts) == (schedule_states.GIVEN_UP, 1)
    assert row.error == f"the webhook answered HTTP {status}; check its address"


@pytest.mark.of_a_state_file("its bytes are looked at")
def test_the_address_shows_nowhere(
    tmp_path: Path, receiver: Receiver, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told, store = notices(tmp_path, receiver.url, clock)
    told.tell("run failed", f"the provider said {receiver.url}")
    told.send_pending()
    receiver.status = 500
    with pytest.raises(RetriableError) as caught:
        told.send_test("ann")
    receiver.shutdown()
    receiver.server_close()
    with pytest.raises(RetriableError) as gone:
        told.send_test("ann")
    shown = [caplog.text, str(caught.value), repr(gone.value), repr(store.notices())]
    assert _SECRET not in "".join(shown)
    assert _SECRET.encode() not in (tmp_path / "console.db").read_bytes()
    assert told.address == "127.0.0.1"


def test_a_test_message_is_sent_at_once_and_says_how_it_went(tmp_path: Path, receiver: Receiver, clock: Clock) -> None:
    told, store = notices(tmp_path, receiver.url, clock)
    told.send_test("ann")
    assert receiver.got[0][2]["text"] == "This is a test, sent by ann: messages of the scheduler arrive here."
    receiver.status = 404
    with pytest.raises(PermanentError, match="HTTP 404"):
        told.send_test("ann")
    assert [(row.event, row.state) for row in store.notices()] == [
        ("test", schedule_states.GIVEN_UP),
        ("test", schedule_states.DELIVERED),
    ]


def test_without_a_webhook_messages_are_kept_for_the_overview(tmp_path: Path, clock: Clock) -> None:
    told, store = notices(tmp_path, None, clock)
    told.tell("run failed", "one")
    told.send_pending()
    assert [row.state for row in store.notices()] == [schedule_states.SHOWN]
    assert told.address is None
    with pytest.raises(InputError, match="FFE_WEBHOOK__URL: missing"):
        told.send_test("ann")


def test_an_address_that_is_none_is_refused_without_showing_it(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(InputError, match="FFE_WEBHOOK__URL") as caught:
        notices(tmp_path, f"ftp://example.com/{_SECRET}", clock)
    assert _SECRET not in str(caught.value)


def test_dead_letters_are_told_once_when_they_reach_the_limit(tmp_path: Path, receiver: Receiver) -> None:
    counted, asked = [99], []

    def since(at: float) -> int:
        asked.append(at)
        return counted[0]

    clock = Clock.on("2024-05-15")
    told, store = notices(tmp_path, receiver.url, clock)
    told.check_threshold(since)
    assert store.notices() == []
    counted[0] = 100
    told.check_threshold(since)
    [row] = store.notices()
    assert row.text == "100 new dead letters; see why, edit and replay them."
    told.check_threshold(since)
    assert asked[:2] == [clock.at - 86_400] * 2
    assert asked[2] == row.at


def test_the_thread_sends_what_is_told(tmp_path: Path, receiver: Receiver) -> None:
    arrived = threading.Event()
    store = ScheduleStore(Database(tmp_path / "console.db"))
    told = Notifier(Settings.load({"data_dir": str(tmp_path), "webhook": {"url": receiver.url}}), store)
    post = told._post
    told._post = lambda message: (post(message), arrived.set())[0]  # type: ignore[method-assign]
    told.start()
    try:
        told.tell("run failed", "one")
        assert arrived.wait(30)
    finally:
        told.stop()
    assert [body["text"] for _, _, body in receiver.got] == ["one"]
