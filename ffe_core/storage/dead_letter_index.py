"""Which dead letters there are, without reading every file: an index in SQLite, rebuilt from the files at any time.

The files are the truth. The index lies beside them, knows each file by its size and modification time, and reads
again only what is new or changed; delete it and the next look builds it anew.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
import sqlalchemy as sa

from ffe_core.storage.files import strict_json
from ffe_core.validation import UNREADABLE, read_opens

log = logging.getLogger(__name__)
NAMESPACE = uuid5(NAMESPACE_URL, "ffe-console/dead-letters")
_IN_LIMIT = 500

_metadata = sa.MetaData()
entries = sa.Table(
    "entries",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("modified_ns", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("series", sa.String, nullable=False, index=True),
    sa.Column("saved_at", sa.String, nullable=False),
    sa.Column("error", sa.String, nullable=False),
    sa.Column("records", sa.Integer, nullable=False),
)
records = sa.Table(
    "records",
    _metadata,
    sa.Column("entry_id", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("series", sa.String, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("open", sa.BigInteger),
    sa.Index("records_by_fingerprint", "series", "fingerprint"),
    sa.Index("records_by_open", "series", "open"),
)


@dataclass(frozen=True, slots=True)
class EntryFile:
    """A dead letter file as it lies on disk."""

    path: Path
    modified_ns: int
    size: int

    @property
    def id(self) -> str:
        """The entry's id: the file's name without its ending."""
        return self.path.stem


def series_key(context: Mapping[str, Any]) -> str:
    """pair/timeframe/provider of a batch, with what its context leaves out empty."""
    return storable("/".join(str(context.get(name) or "") for name in ("asset_pair", "timeframe", "provider")))


def storable(text: str) -> str:
    """The text with what no encoding holds (a lone surrogate) spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def fingerprint(record: Any) -> str:
    """Identity of a raw record: the same content gives the same text, whatever the order of its fields."""
    return str(uuid5(NAMESPACE, strict_json(record, sort_keys=True)))


def batch_id(series: str, prints: Iterable[str]) -> UUID:
    """Identity of a batch: its series and the records in it."""
    return uuid5(NAMESPACE, "\n".join([series, *prints]))


class DeadLetterIndex:
    """Answers which records of a series are in the files; `refresh` makes it agree with the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / ".index.sqlite"
        self._engine = sa.create_engine(f"sqlite:///{self._file}", poolclass=sa.NullPool, connect_args={"timeout": 60})

    def refresh(self) -> None:
        """Read what is new or changed in the folder, forget what is gone; a torn index is made anew."""
        try:
            self._refresh()
        except sa.exc.DatabaseError as error:
            if type(error) is not sa.exc.DatabaseError:
                raise  # locked or full, not torn
            log.warning("%s is torn (%s); made anew from the files", self._file, error.orig)
            self._file.unlink()
            self._refresh()

    def _refresh(self) -> None:
        _metadata.create_all(self._engine)
        found = {file.id: file for file in _files(self._folder)}
        with self._engine.begin() as connection:
            known = {row.id: row for row in connection.execute(sa.select(entries))}
            gone = [id_ for id_ in known if id_ not in found]
            changed = [
                file
                for file in found.values()
                if file.id not in known
                or (known[file.id].modified_ns, known[file.id].size) != (file.modified_ns, file.size)
            ]
            _forget(connection, [*gone, *(file.id for file in changed)])
            for file in changed:
                _add(connection, file)

    def known(self, series: str, prints: Sequence[str]) -> set[str]:
        """Those of the fingerprints that a series already has."""
        found: set[str] = set()
        with self._engine.connect() as connection:
            for at in range(0, len(prints), _IN_LIMIT):
                query = sa.select(records.c.fingerprint).where(
                    records.c.series == series, records.c.fingerprint.in_(prints[at : at + _IN_LIMIT])
                )
                found.update(connection.scalars(query))
        return found

    def pending_count(self) -> int:
        """How many records there are that wait for a person."""
        with self._engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(records)) or 0)

    def opens(self, series: str, start: int, end: int) -> np.ndarray:
        """Opens in [start, end) of a series' dead letters: sorted unique int64 epoch seconds."""
        query = (
            sa.select(records.c.open)
            .where(records.c.series == series, records.c.open >= start, records.c.open < end)
            .distinct()
            .order_by(records.c.open)
        )
        with self._engine.connect() as connection:
            return np.array(list(connection.scalars(query)), dtype=np.int64)

    def opens_by_series(self, start: int, end: int) -> dict[str, np.ndarray]:
        """`opens` of every series that has any in [start, end), by the series' key."""
        query = (
            sa.select(records.c.series, records.c.open)
            .where(records.c.open >= start, records.c.open < end)
            .distinct()
            .order_by(records.c.series, records.c.open)
        )
        found: dict[str, list[int]] = {}
        with self._engine.connect() as connection:
            for series, open_ in connection.execute(query):
                found.setdefault(series, []).append(open_)
        return {series: np.array(opens, dtype=np.int64) for series, opens in found.items()}


def _files(folder: Path) -> Iterable[EntryFile]:
    for path in folder.glob("*.json"):
        if not path.name.startswith("."):
            stat = path.stat()
            yield EntryFile(path, stat.st_mtime_ns, stat.st_size)


def _forget(connection: sa.Connection, ids: Sequence[str]) -> None:
    for at in range(0, len(ids), _IN_LIMIT):
        some = ids[at : at + _IN_LIMIT]
        connection.execute(records.delete().where(records.c.entry_id.in_(some)))
        connection.execute(entries.delete().where(entries.c.id.in_(some)))


def _add(connection: sa.Connection, file: EntryFile) -> None:
    try:
        content = json.loads(file.path.read_text(encoding="utf-8"))
        raw, context = list(content["records"]), dict(content["context"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s is not a dead letter file (%s); left alone", file.path, error)
        return
    series = series_key(context)
    connection.execute(
        entries.insert().values(
            id=file.id,
            modified_ns=file.modified_ns,
            size=file.size,
            series=series,
            saved_at=storable(str(content.get("timestamp", ""))),
            error=storable(str(content.get("error", ""))),
            records=len(raw),
        )
    )
    if raw:
        opens = read_opens(raw)
        connection.execute(
            records.insert(),
            [
                {
                    "entry_id": file.id,
                    "number": number,
                    "series": series,
                    "fingerprint": fingerprint(record),
                    "open": None if opens[number] == UNREADABLE else int(opens[number]),
                }
                for number, record in enumerate(raw)
            ],
        )
