"""Properties of a table, written by several machines at once: of two changes at one moment Delta refuses the second."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from ffe_core.storage.lake.appends import COMMIT_RETRIES
from ffe_core.storage.lake.writing import APPEND_HOOKS

log = logging.getLogger(__name__)


def set_properties(look: Callable[[], DeltaTable], wanted: Mapping[str, str]) -> bool:
    """Give the table that `look` opens anew these properties; whether it had others. CommitFailedError if others change
    them all the time, and what `look` raises."""
    attempt = 0
    while True:
        table = look()
        held = table.metadata().configuration
        if all(held.get(name) == value for name, value in wanted.items()):
            return False
        try:
            table.alter.set_table_properties(
                dict(wanted), raise_if_not_exists=False, post_commithook_properties=APPEND_HOOKS
            )
        except CommitFailedError as error:
            attempt += 1
            if attempt >= COMMIT_RETRIES:
                raise
            log.info("%s: a change of its properties was refused (%s); looking again", table.table_uri, error)
        else:
            return True
