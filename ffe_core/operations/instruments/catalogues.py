"""Catalogues of providers: read now or behind the scenes, kept with their time, broken off when the program ends."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from ffe_core.errors import FFEError, InputError, RetriableError, StorageError
from ffe_core.instruments.model import Instrument
from ffe_core.instruments.names import identity_of
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.redaction import redact
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.instruments import CatalogueCopy, InstrumentStore

log = logging.getLogger(__name__)
_DAY = 86_400.0
_TRY_AGAIN = 3_600.0
"""Seconds until a catalogue that could not be read is asked for again unasked."""
_REFRESH_SECONDS = 120.0
_CLOSE_SECONDS = 10.0
Question = Callable[[Provider], Awaitable[list[Instrument]]]


class Catalogues:
    """Reads what providers list into a store. Safe to use from any thread."""

    def __init__(self, settings: Settings, store: InstrumentStore) -> None:
        self._settings, self._store = settings, store
        self._asking: dict[str, threading.Thread] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Break off what is read behind the scenes, and begin nothing more: the database may be closed after it."""
        with self._lock:
            self._is_closed = True
            threads = list(self._asking.values())
            for task in self._tasks:
                task.get_loop().call_soon_threadsafe(task.cancel)
        for thread in threads:
            thread.join(_CLOSE_SECONDS)

    def copy_of(self, provider: str) -> CatalogueCopy:
        """When a provider's catalogue was read and tried last."""
        return self._store.copy_of(provider)

    def refresh(self, provider: str) -> CatalogueCopy:
        """Read a provider's catalogue now; what fails is kept beside the old copy, and raised.

        ProviderError, InputError for missing credentials, StorageError. Not from within an event loop.
        """
        try:
            listed = self.ask(provider, lambda opened: opened.catalogue())
        except (FFEError, InputError) as error:
            self._store.failed(provider, redact(str(error)))
            raise
        self._store.replace(provider, listed)
        return self._store.copy_of(provider)

    def ask(self, provider: str, question: Question) -> list[Instrument]:
        """What a provider answers to a question about its instruments, asked now. ProviderError, InputError for missing
        credentials. Not from within an event loop."""
        return asyncio.run(self._asked(provider, question))

    def refresh_in_background(self, provider: str) -> None:
        """Read a catalogue that is old or missing, behind the scenes, at most once an hour."""
        if self._is_due(provider):
            self.try_in_background(provider)

    def read_again(self, provider: str, audit: Audit, actor: str) -> None:
        """Read a catalogue behind the scenes because somebody asks for it; `copy_of` tells what came of it.

        StorageError, and nothing is read, if the act cannot be written down.
        """
        act = ExitStack()

        def read(provider: str) -> None:
            with suppress(FFEError, InputError), act:
                self.refresh(provider)

        act.enter_context(audit.act(actor, "read catalogue", provider))
        if not self.start_reading(provider, read):
            act.close()  # the one that is under way will do

    def is_reading(self, provider: str) -> bool:
        """Whether a catalogue is being read behind the scenes."""
        with self._lock:
            return provider in self._asking

    def start_reading(self, provider: str, read: Callable[[str], None]) -> bool:
        """Read behind the scenes; False where that is under way already, or everything is being closed."""
        named = f"catalogue of {provider}"
        thread = threading.Thread(target=self._quietly, args=(provider, read), name=named, daemon=True)
        with self._lock:
            if provider in self._asking or self._is_closed:
                return False
            self._asking[provider] = thread
            thread.start()
        return True

    def may_help(self, provider: str, name: str) -> bool:
        """Whether reading the catalogue may tell what a name is: one it lacks, or one whose form says too little."""
        copy = self._store.copy_of(provider)
        if _was_tried(copy):
            return False
        if copy.read_at is not None:
            return copy.age > _DAY
        return provider_class(provider).lists_everything and not identity_of(provider, name).is_pair

    def renew_if_old(self, provider: str) -> None:
        """Read a catalogue now that was read before and is old; one that cannot be read leaves its copy."""
        copy = self._store.copy_of(provider)
        if copy.read_at is not None and self._is_due(provider):
            self.try_to_refresh(provider)

    def _is_due(self, provider: str) -> bool:
        copy = self._store.copy_of(provider)
        return not _was_tried(copy) and copy.age > provider_class(provider).catalogue_days * _DAY

    def try_to_refresh(self, provider: str) -> None:
        """Read a catalogue now; what fails is logged and kept beside the copy."""
        try:
            self.refresh(provider)
        except (FFEError, InputError) as error:
            log.warning("the catalogue of %s could not be read: %s", provider, error)

    def try_in_background(self, provider: str) -> None:
        """Read a catalogue behind the scenes, unless another reading of it has ended since it was looked at."""
        self.start_reading(provider, self._unless_tried)

    def _unless_tried(self, provider: str) -> None:
        if not _was_tried(self._store.copy_of(provider)):
            self.try_to_refresh(provider)

    def _quietly(self, provider: str, read: Callable[[str], None]) -> None:
        try:
            read(provider)
        except StorageError as error:
            log.warning("the catalogue of %s could not be kept: %s", provider, error)
        except asyncio.CancelledError:
            log.info("the catalogue of %s was not read to its end: the program ends", provider)
        finally:
            with self._lock:
                self._asking.pop(provider, None)

    @contextmanager
    def _breakable(self) -> Iterator[None]:
        """Lets `close` cancel the task; cancelled at once if everything is being closed already."""
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            if self._is_closed:
                raise asyncio.CancelledError
            self._tasks.add(task)
        try:
            yield
        finally:
            with self._lock:
                self._tasks.discard(task)

    async def _asked(self, provider: str, question: Question) -> list[Instrument]:
        with self._breakable():
            return await self._answered(provider, question)

    async def _answered(self, provider: str, question: Question) -> list[Instrument]:
        try:
            async with asyncio.timeout(_REFRESH_SECONDS), provider_class(provider)(config=self._settings) as opened:
                return await question(opened)
        except TimeoutError:
            raise RetriableError(
                f"{provider} did not send its catalogue, or what was searched for, within {_REFRESH_SECONDS:.0f} s;"
                " try again later"
            ) from None


def _was_tried(copy: CatalogueCopy) -> bool:
    """Whether it was asked for so lately that it is not asked for again unasked."""
    return copy.tried_at is not None and time.time() - copy.tried_at < _TRY_AGAIN
