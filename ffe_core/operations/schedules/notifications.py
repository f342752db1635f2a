"""Webhook notifications with retry: who listens is told when a schedule needs a person; the Overview tells it anyway.

A message is one JSON object with a `text` that chat tools show. It is written to the database first and sent from a
thread of its own, tried again with growing waits, and given up in the end: a dead webhook never hurts a run. The
address is a secret, as chat tools put the right to post into it: it comes from the settings, never from a page, and no
log, error or row of the database holds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from ffe_core.errors import FFEError, InputError, PermanentError, ProviderError, RetriableError
from ffe_core.redaction import redact, register
from ffe_core.settings import Settings, variable
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.schedules import Notice, ScheduleStore
from ffe_core.threads import Within, Worker

log = logging.getLogger(__name__)
WAITS = (10.0, 60.0, 300.0, 1800.0)
"""Seconds before the second, third, ... try of a message; after the last one it is given up."""
_POLL_SECONDS = 1.0
_DAY = 86_400
_LONGEST_TEXT = 1_500


class Notifier:
    """Writes messages down and, where a webhook is set, sends them."""

    def __init__(self, settings: Settings, store: ScheduleStore, *, clock: Callable[[], float] = time.time) -> None:
        self._own = settings.webhook
        self._store, self._clock = store, clock
        register(self._own.url)
        self._worker = Worker("webhook", self._send_what_is_due, _POLL_SECONDS)

    @property
    def address(self) -> str | None:
        """The host that messages go to, for display; None when no webhook is set."""
        return httpx.URL(self._own.url).host if self._own.url else None

    @property
    def dead_letter_limit(self) -> int:
        """New dead letters that are worth a message."""
        return self._own.dead_letter_limit

    def start(self, within: Within | None = None) -> None:
        """Begin to send, in the process that leads: each time `within` a context that says whether it does."""
        self._worker.start(within)

    def stop(self) -> None:
        """Send nothing more; what is pending is sent by the next leader."""
        self._worker.stop()

    def tell(self, event: str, text: str, **details: Any) -> None:
        """Write a message down, free of secrets; it is sent soon if a webhook is set."""
        clean = redact(text)[:_LONGEST_TEXT]
        self._store.add_notice(
            event, clean, details, schedule_states.PENDING if self._own.url else schedule_states.SHOWN
        )
        self._worker.wake()

    def check_threshold(self, since: Callable[[float], int]) -> None:
        """Tell of new dead letters when, since the last such message or a day ago, they have reached the limit."""
        last = self._store.notices(1, "dead letters")
        begin = max(last[0].at if last else 0.0, self._clock() - _DAY)
        count = since(begin)
        if count >= self._own.dead_letter_limit:
            self.tell("dead letters", f"{count:,} new dead letters; see why, edit and replay them.", count=count)

    def send_test(self, actor: str) -> None:
        """Send a test message now, once. InputError if no webhook is set, ProviderError if it was not taken."""
        if not self._own.url:
            name = variable("webhook", "url")
            raise InputError("missing; set it, or url in the section [webhook] of .streamlit/secrets.toml", field=name)
        text = f"This is a test, sent by {actor}: messages of the scheduler arrive here."
        notice = self._store.add_notice("test", text, {}, schedule_states.DELIVERED)
        try:
            self._post({"event": "test", "text": text})
        except ProviderError as error:
            self._store.update_notice(notice, state=schedule_states.GIVEN_UP, attempts=1, error=str(error))
            raise
        self._store.update_notice(notice, attempts=1)

    def send_pending(self) -> None:
        """Send every message whose next try has come."""
        for notice in self._store.pending_notices(self._clock()):
            self._store.update_notice(notice.id, **self._tried(notice))

    def _tried(self, notice: Notice) -> dict[str, Any]:
        """One try of one message, as columns."""
        attempts = notice.attempts + 1
        try:
            self._post({**notice.details, "event": notice.event, "text": notice.text, "at": notice.at})
            return {"state": schedule_states.DELIVERED, "attempts": attempts, "error": None}
        except ProviderError as error:
            final = isinstance(error, PermanentError) or attempts > len(WAITS)
            if final:
                log.error("webhook: a message was given up after %d tries: %s", attempts, error)
                return {"state": schedule_states.GIVEN_UP, "attempts": attempts, "error": str(error)}
            return {"attempts": attempts, "next_at": self._clock() + WAITS[attempts - 1], "error": str(error)}

    def _post(self, message: Mapping[str, Any]) -> None:
        """RetriableError or PermanentError when the message was not taken; neither holds the address."""
        try:
            transport = _Addressed(self._own.url)
            with httpx.Client(transport=transport, timeout=self._own.timeout_seconds) as client:
                answer = client.post(transport.shown, json=dict(message))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise RetriableError(f"the webhook cannot be reached ({type(error).__name__})") from None
        status = answer.status_code
        if status == 429 or status == 408 or status >= 500:
            raise RetriableError(f"the webhook answered HTTP {status}")
        if not answer.is_success:
            raise PermanentError(f"the webhook answered HTTP {status}; check its address")

    def _send_what_is_due(self) -> None:
        try:
            self.send_pending()
        except FFEError:
            log.exception("webhook: the messages cannot be read")


class _Addressed(httpx.HTTPTransport):
    """Puts the address into the request below the level that logs, so that no log or exception holds it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._address = httpx.URL(url)
        self.shown = f"{self._address.scheme}://webhook.invalid/"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        kept = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        headers = [(b"Host", self._address.netloc), *kept]
        sent = httpx.Request(
            request.method, self._address, headers=headers, stream=request.stream, extensions=request.extensions
        )
        return super().handle_request(sent)
