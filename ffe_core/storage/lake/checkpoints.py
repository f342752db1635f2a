"""Opening of a table whose checkpoint is damaged, from its commits where those are all there.

A checkpoint sums up the commits before it and holds nothing that they do not. delta-rs opens a table by its newest one,
or by what `_last_checkpoint` names, and by nothing else: damaged, it fails although every commit lies beside it. Such a
checkpoint is renamed, in a folder or an object store, so that the table opens by the one before it, or by its first
commit.
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ffe_core.errors import StorageError, StoreUnreachable
from ffe_core.locations import local_folder
from ffe_core.storage import store_faults
from ffe_core.storage.files import why
from ffe_core.storage.lake.commit_stamps import Log, log_of

log = logging.getLogger(__name__)
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..*parquet", re.ASCII)
"""The name of a checkpoint in a log, its version first."""
_COMMIT = re.compile(r"(\d{20})\.json", re.ASCII)
HINT = "_last_checkpoint"
"""The file in which a log says which checkpoint is its newest."""


def opened(uri: str, storage_options: dict[str, str] | None) -> DeltaTable:
    """A fresh handle. TableNotFoundError, DeltaError, OSError as delta-rs; StorageError for a damaged checkpoint that
    is needed, or that cannot be set aside."""
    folder = local_folder(uri)
    if folder is not None and not _is_there(folder / "_delta_log"):
        raise TableNotFoundError(uri)  # delta-rs takes a millisecond to say so, and most lakes lack some timeframes
    try:
        return DeltaTable(uri, storage_options=storage_options)
    except TableNotFoundError:
        raise
    except DeltaError as error:
        found = None if store_faults.is_unreachable(str(error)) else log_of(uri, storage_options)
        if found is None or not _set_aside(uri, found):
            raise
    return DeltaTable(uri, storage_options=storage_options)


def _is_there(folder: Path) -> bool:
    try:
        os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _set_aside(uri: str, log_files: Log) -> bool:
    """Rename the damaged checkpoints of a log, and what names one that is not there; whether there was any."""
    try:
        names = log_files.names()
        found = sorted(name for name in names if CHECKPOINT.fullmatch(name))
        bad = [name for name in found if not is_whole(log_files.read(name))]
        if HINT in names and (bad or not _names_one_of(log_files.read(HINT), found)):
            bad.append(HINT)
    except StoreUnreachable:
        raise
    except (OSError, StorageError):
        return False
    if not bad:
        return False
    listed = ", ".join(bad)
    if (missing := _missing_commit(names, bad)) is not None:
        raise StorageError(
            f"the checkpoint of {uri} is damaged ({listed}), and commit {missing} that it sums up is not"
            " there any more; put the checkpoint back from a copy of the lake"
        )
    for name in bad:
        try:
            aside = log_files.set_aside(name)
        except FileNotFoundError:
            continue  # another process was faster
        except StoreUnreachable:
            raise
        except (OSError, StorageError) as error:
            cause = why(error) if isinstance(error, OSError) else error
            raise StorageError(
                f"the checkpoint of {uri} is damaged, and every commit that it sums up is there: move"
                f" {listed} out of {uri}/_delta_log, nothing is lost by it (it could not be done here: {cause})"
            ) from error
        log.warning("%s of %s is damaged; every commit it sums up is there; kept as %s", name, uri, aside)
    return True


def is_whole(checkpoint: bytes) -> bool:
    """Whether a checkpoint can be read to its end."""
    import pyarrow.parquet as pq  # not at the top: only damage needs it

    try:
        pq.ParquetFile(pa.BufferReader(checkpoint)).read(use_threads=False)
    except (OSError, pa.ArrowException):
        return False
    return True


def version_in(hint: bytes) -> int | None:
    """The version of the checkpoint that a hint names; None where it cannot be told."""
    try:
        return int(json.loads(hint)["version"])
    except (ValueError, KeyError, TypeError):
        return None


def _names_one_of(hint: bytes, checkpoints: list[str]) -> bool:
    version = version_in(hint)  # delta-rs passes over one that it cannot read
    return version is None or any(name.startswith(f"{version:020}.") for name in checkpoints)


def _missing_commit(names: list[str], bad: list[str]) -> str | None:
    """The first commit that the log lacks between its newest whole checkpoint, or its beginning, and its end."""
    commits = {int(found[1]) for name in names if (found := _COMMIT.fullmatch(name))}
    whole = [int(found[1]) for name in names if name not in bad and (found := CHECKPOINT.fullmatch(name))]
    summed_up = [int(found[1]) for name in bad if (found := CHECKPOINT.fullmatch(name))]
    first, last = max(whole, default=-1) + 1, max([*commits, *summed_up], default=-1)
    return next((f"{version:020}.json" for version in range(first, last + 1) if version not in commits), None)
