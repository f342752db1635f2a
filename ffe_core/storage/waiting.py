"""Waiting for a server or a store that is gone: who asks says for how long, a run long, a page not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from ffe_core.errors import StorageError, StoreUnreachable

log = logging.getLogger(__name__)
waits_on: ContextVar[Callable[[float], bool]] = ContextVar("waits_on", default=lambda waited: False)
"""Whether to wait on for what is gone, after so many seconds: a run does, a page says it at once."""
AGAIN_SECONDS = 0.5
Answer = TypeVar("Answer")


def copied(work: Callable[..., Answer]) -> Callable[..., Answer]:
    """The same work for threads of a pool, which would not know whose it is: it waits as its caller does."""
    patience = waits_on.get()

    def done(*given: object) -> Answer:
        waits_on.set(patience)
        return work(*given)

    return done


def _is_unreachable(error: StorageError) -> bool:
    return isinstance(error, StoreUnreachable)


def patiently(ask: Callable[[], Answer], passes: Callable[[StorageError], bool] = _is_unreachable) -> Answer:
    """The answer of an object store or a server; one that is gone is waited for as long as whoever asks wants to.

    `ask` must come to the same however often it is done; `passes` tells an error that ends by itself. That error when
    the patience is over.
    """
    began = time.monotonic()
    is_told = False
    while True:
        try:
            return ask()
        except StorageError as error:
            if not passes(error) or not waits_on.get()(time.monotonic() - began):
                raise
            if not is_told:
                log.warning("%s. It is waited for", error)
                is_told = True
        time.sleep(AGAIN_SECONDS)
