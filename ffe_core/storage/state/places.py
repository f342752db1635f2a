"""Places that belong together: a state on a server knows its lake by an id kept in both, and so does a folder of dead
letters.

Two lakes on one state would each count the other's series as lost. Two folders of dead letters beside one lake that is
a folder would each miss the other's records, and one beside two lakes would explain gaps with records of the other. A
file beside its lake needs no such guard; data directories may be several, as locks and paces lie in the state.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from ffe_core.errors import DatabaseError, StorageError
from ffe_core.locations import local_folder
from ffe_core.settings import Settings
from ffe_core.storage.files import make_folder, why, write_atomically
from ffe_core.storage.state import faults
from ffe_core.storage.state.database import Database, metadata

ID_FILE = ".ffe-id"
"""The name of the file with the id: in a lake that is a folder, and in the folder of its dead letters the lake's id."""
LAKE, LETTERS = "lake", "dead letters"
"""What a state knows by an id; the second with a lake that is a folder, as a store has its dead letters in itself."""
places = sa.Table(
    "places",
    metadata,
    sa.Column("what", sa.String, primary_key=True),
    sa.Column("mark", sa.String, nullable=False),
    sa.Column("place", sa.String, nullable=False),
    sa.Column("noted_at", sa.Float, nullable=False),
)
MIGRATION_FILE = ".migration.json"
"""The note of a migration, in a data directory or a lake that it fills; until it is over, `finished_at` is null."""
MIGRATION, MIGRATED = "migration", "migrated"
"""Rows of a state that is being filled, and of one that was; `mark` is the migration, `place` the source."""


def check_places(database: Database, settings: Settings) -> None:
    """Note the lake of these settings in a new state of a server, and the folder of its dead letters.

    DatabaseError if the state belongs to others; StorageError if an id cannot be read or written.
    """
    with database.read() as connection:
        if _all_known(database, connection, settings):
            return
    with database.write() as connection:  # alone, so that two processes do not give one folder two ids
        note_places(connection, settings)
        _all_known(database, connection, settings)  # another process may have noted others a moment ago


def note_places(connection: sa.Connection, settings: Settings) -> None:
    """Note each place that a state does not know yet, in a transaction that writes.

    StorageError, also for a folder of dead letters that belongs to another lake.
    """
    noted, lake = noted_places(connection), _mark(settings.lake_uri)
    if LAKE not in noted:
        note_place(connection, LAKE, lake, settings.lake_uri)
    if (folder := _letters(settings)) is not None and LETTERS not in noted:
        _give(folder, lake)
        note_place(connection, LETTERS, lake, str(folder))


def note_place(connection: sa.Connection, what: str, mark: str, place: str) -> None:
    """Note one place."""
    row = {"what": what, "mark": mark, "place": place, "noted_at": time.time()}
    connection.execute(places.insert().values(**row))


def knows_another(connection: sa.Connection, settings: Settings) -> str | None:
    """The lake that a state knows in the stead of that of these settings, if it does."""
    noted = noted_places(connection).get(LAKE)
    return noted.place if noted is not None and noted.mark != _mark(settings.lake_uri) else None


def require_whole(settings: Settings) -> None:
    """DatabaseError for a data directory, or a lake in a folder, that a migration has not filled to the end."""
    lake = local_folder(settings.lake_uri)
    for folder in (settings.data_dir, *([lake] if lake is not None else [])):
        try:
            told = json.loads((folder / MIGRATION_FILE).read_bytes())
            is_over, source = told["finished_at"] is not None, str(told["source"])
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, KeyError, TypeError):
            is_over, source = False, "another place"
        if not is_over:
            raise faults.unfinished(f"the folder {folder}", source)


def _all_known(database: Database, connection: sa.Connection, settings: Settings) -> bool:
    """Whether the state knows every place; DatabaseError if it knows another in the stead of one."""
    noted = noted_places(connection)
    if MIGRATION in noted:
        raise faults.unfinished(f"the database {database.name}", noted[MIGRATION].place)
    folder = _letters(settings)
    if (lake := noted.get(LAKE)) is not None and lake.mark != _mark(settings.lake_uri):
        raise _another_lake(database, settings.lake_uri, lake.place)
    if folder is not None and (letters := noted.get(LETTERS)) is not None and letters.mark != _read_id(folder):
        raise _other_letters(database, folder, letters.place)
    return lake is not None and (folder is None or LETTERS in noted)


def noted_places(connection: sa.Connection) -> dict[str, sa.Row[Any]]:
    """What a state has noted, by what it is."""
    return {row.what: row for row in connection.execute(sa.select(places))}


def _letters(settings: Settings) -> Path | None:
    """The folder of dead letters, which lie beside the tables where the lake is in a store."""
    return None if local_folder(settings.lake_uri) is None else settings.data_dir / "dlq"


def _another_lake(database: Database, mine: str, noted: str) -> DatabaseError:
    return DatabaseError(
        f"the database {database.name} belongs to the lake {noted}, not to {mine}; set FFE_LAKE_URI to that one, or"
        f" FFE_DATABASE_URL to a database of its own. If it was moved here, {_delete(LAKE)}",
        faults.OTHER_PLACE,
    )


def _other_letters(database: Database, mine: Path, noted: str) -> DatabaseError:
    return DatabaseError(
        f"the database {database.name} belongs to the dead letters in {noted}, not to those in {mine}, and whoever"
        f" misses some counts their records as unexplained; let {mine} be that very folder (a shared one, or a link to"
        " it), or keep the lake in an object store, where dead letters lie beside it. If those are gone for good,"
        f" {_delete(LETTERS)}",
        faults.OTHER_PLACE,
    )


def _delete(what: str) -> str:
    return f"its row '{what}' of the table places has to be deleted first"


def _mark(place: str) -> str:
    """The id of a folder, made if it has none; a place in an object store is known by its address."""
    folder = local_folder(place)
    return place if folder is None else _read_id(folder) or _write_id(folder, uuid4().hex)


def _give(letters: Path, lake: str) -> None:
    """Have a folder of dead letters bear the id of its lake. StorageError if it bears another."""
    if (found := _read_id(letters)) is None:
        _write_id(letters, lake)
    elif found != lake:
        raise StorageError(
            f"the dead letters in {letters} belong to another lake, whose gaps they explain; let FFE_DATA_DIR name a"
            f" directory of its own. If they were moved here with the candles, delete {letters / ID_FILE} first"
        )


def _read_id(folder: Path) -> str | None:
    """None for a folder without one."""
    file = folder / ID_FILE
    try:
        return file.read_text(encoding="ascii").strip() if file.exists() else None
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from error


def _write_id(folder: Path, mark: str) -> str:
    try:
        make_folder(folder, "the folder")
        write_atomically(folder / ID_FILE, f"{mark}\n")
    except OSError as error:
        raise _unusable(folder, error) from error
    return mark


def _unusable(folder: Path, error: OSError | ValueError) -> StorageError:
    reason = why(error) if isinstance(error, OSError) else "it is no id; delete it, if the state is of this folder"
    return StorageError(f"the id of {folder} in {folder / ID_FILE} cannot be read or written: {reason}")
