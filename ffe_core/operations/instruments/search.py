"""Instrument search at a provider: asks for what its catalogue lacks, as somebody wants it, and keeps what it finds."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from ffe_core.errors import FFEError, InputError
from ffe_core.instruments.model import Instrument
from ffe_core.operations.instruments.service import Instruments
from ffe_core.providers import provider_class
from ffe_core.redaction import redact
from ffe_core.storage.state.audit import Audit

_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search at a provider came to: the stored names of what it found, the closest first, or why it failed."""

    text: str
    names: tuple[str, ...] = ()
    error: str | None = None


class InstrumentSearch:
    """Asks providers that can be searched. Safe to use from any thread; closed with its `instruments`."""

    def __init__(self, instruments: Instruments, audit: Audit) -> None:
        self._instruments, self._audit = instruments, audit
        self._answers: dict[str, Answer] = {}
        self._lock = threading.Lock()

    def can_ask(self, provider: str) -> bool:
        """Whether a provider finds instruments beyond its catalogue."""
        return provider_class(provider).can_be_searched

    def ask(self, provider: str, text: str, actor: str) -> Answer:
        """Have a provider search for a text: one request. ProviderError, InputError, StorageError if it fails."""
        with self._audit.act(actor, "search instruments", provider, text=_checked(text)) as act:
            answer = self._asked(provider, text)
            act.note(found=len(answer.names))
        return answer

    def ask_in_background(self, provider: str, text: str, actor: str) -> None:
        """The same behind the scenes; `last` tells what came of it. StorageError, and nothing is asked, if the act
        cannot be written down; InputError while the provider is being asked already."""
        act = ExitStack()

        def asked(provider: str) -> None:
            with suppress(FFEError, InputError), act:
                written.note(found=len(self._asked(provider, text).names))

        written = act.enter_context(self._audit.act(actor, "search instruments", provider, text=_checked(text)))
        if not self._instruments.catalogues.start_reading(provider, asked):
            with act:
                raise InputError(f"{provider} is being asked at this moment; ask again when that is done", field="text")

    def last(self, provider: str) -> Answer | None:
        """What the last search at a provider came to, in this process."""
        with self._lock:
            return self._answers.get(provider)

    def search(self, text: str, provider: str | None, limit: int) -> list[Instrument]:
        """What is kept of a text, and what its provider found for it last though neither symbol nor name has it."""
        found = self._instruments.search(text, provider, limit)
        answer = None if provider is None else self.last(provider)
        if provider is None or answer is None or answer.text != text:
            return found
        kept, shown = self._instruments.store.of_names(provider, answer.names), {one.name for one in found}
        return [*found, *(kept[name] for name in answer.names if name in kept and name not in shown)][:limit]

    def _asked(self, provider: str, text: str) -> Answer:
        try:
            found = self._instruments.catalogues.ask(provider, lambda opened: opened.search(text))
            self._instruments.store.add_found(provider, found)
        except (FFEError, InputError) as error:
            self._keep(provider, Answer(text, error=redact(str(error))))
            raise
        return self._keep(provider, Answer(text, tuple(one.name for one in found)))

    def _keep(self, provider: str, answer: Answer) -> Answer:
        with self._lock:
            self._answers[provider] = answer
        return answer


def _checked(text: str) -> str:
    """The text; InputError for one that cannot be searched for."""
    if not 0 < len(text.strip()) <= _LONGEST:
        raise InputError(f"give 1 to {_LONGEST} characters, for example 'tesco'", field="text")
    return text
