"""Places that belong together: a state on a server knows its lake by an id kept in both.

Two lakes on one state would each count the other's series as lost. A file beside its lake needs no such guard; data
directories may be several, as locks and paces lie in the state.
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
"""The name of the file with the id, in a lake that is a folder."""
places = sa.Table(
    "places",
    metadata,
    sa.Column("what", sa.String, primary_key=True),
    sa.Column("mark", sa.String, nullable=False),
    sa.Column("place", sa.String, nullable=False),
    sa.Column("noted_at", sa.Float, nullable=False),
)
_NAMES = {"lake": "FFE_LAKE_URI"}
MIGRATION_FILE = ".migration.json"
"""The note of a migration, in a data directory or a lake that it fills; until it is over, `finished_at` is null."""
MIGRATION, MIGRATED = "migration", "migrated"
"""Rows of a state that is being filled, and of one that was; `mark` is the migration, `place` the source."""


def check_places(database: Database, settings: Settings) -> None:
    """Note the lake of these settings in a new state of a server.

    DatabaseError if the state belongs to others; StorageError if an id cannot be read or written.
    """
    with database.read() as connection:
        if _all_known(database, connection, settings):
            return
    with database.write() as connection:  # alone, so that two processes do not give one folder two ids
        note_places(connection, settings)


def note_places(connection: sa.Connection, settings: Settings) -> None:
    """Note each place that a state does not know yet, in a transaction that writes. StorageError."""
    noted = noted_places(connection)
    for what, place in _mine(settings).items():
        if what not in noted:
            note_place(connection, what, _mark(place), place)


def note_place(connection: sa.Connection, what: str, mark: str, place: str) -> None:
    """Note one place."""
    row = {"what": what, "mark": mark, "place": place, "noted_at": time.time()}
    connection.execute(places.insert().values(**row))


def knows_another(connection: sa.Connection, settings: Settings) -> str | None:
    """The place that a state knows in the stead of one of these settings, if it does."""
    noted = noted_places(connection)
    mine = _mine(settings).items()
    return next((noted[what].place for what, place in mine if what in noted and noted[what].mark != _mark(place)), None)


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
    for what, place in _mine(settings).items():
        if what in noted and noted[what].mark != _mark(place):
            raise _another(database, what, place, noted[what].place)
    return noted.keys() >= _mine(settings).keys()


def noted_places(connection: sa.Connection) -> dict[str, sa.Row[Any]]:
    """What a state has noted, by what it is."""
    return {row.what: row for row in connection.execute(sa.select(places))}


def _mine(settings: Settings) -> dict[str, str]:
    return {"lake": settings.lake_uri}


def _another(database: Database, what: str, mine: str, noted: str) -> DatabaseError:
    return DatabaseError(
        f"the database {database.name} belongs to the {what} {noted}, not to {mine}; set {_NAMES[what]} to that one, or"
        f" FFE_DATABASE_URL to a database of its own. If it was moved here, its row '{what}' of the table places has to"
        " be deleted first",
        faults.OTHER_PLACE,
    )


def _mark(place: str) -> str:
    """The id of a folder, made if it has none; a place in an object store is known by its address."""
    folder = local_folder(place)
    return place if folder is None else _of_folder(folder)


def _of_folder(folder: Path) -> str:
    file = folder / ID_FILE
    try:
        if not file.exists():
            make_folder(folder, "the folder")
            write_atomically(file, f"{uuid4().hex}\n")
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise StorageError(f"the id of {folder} in {file} cannot be read or written: {_why(error)}") from error


def _why(error: OSError | ValueError) -> str:
    return why(error) if isinstance(error, OSError) else "it is no id; delete it, if the state is of this folder"
