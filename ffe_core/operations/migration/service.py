"""Service of `ffe migrate`: what moves where, the checks before, the copying in its order, and the report.

In this order: the source is kept from changing; each destination has to be empty, or be filled by this very migration,
and says from then on that it is being filled; tables, dead letters and what people wrote are copied and compared; the
state comes last and all at once; then each destination says that it is whole.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import sqlalchemy as sa

from ffe_core import times
from ffe_core.errors import InputError, MigrationRefused, StorageError
from ffe_core.locations import data_folder, lake_address, local_folder
from ffe_core.operations.migration import belongings, state, tables
from ffe_core.operations.migration.copying import changed_meanwhile
from ffe_core.operations.migration.dead_letters import copy_letters, letters_of, place_of_letters
from ffe_core.operations.migration.guard import frozen
from ffe_core.operations.migration.places import Note, Place, StorePlace, note, noted, place_of
from ffe_core.settings import Settings
from ffe_core.storage import probe
from ffe_core.storage.dead_letters.stored import FOLDER
from ffe_core.storage.files import make_folder, why
from ffe_core.storage.state import places
from ffe_core.storage.state.database import DATABASE_FILE, Database

_OF_LAKE = {places.MIGRATION_FILE, places.ID_FILE, FOLDER, probe.FOLDER}
"""What lies in a lake beside its tables."""


@dataclass(frozen=True, slots=True)
class TableReport:
    """A Delta table: its files, their bytes, its rows; `hash` of these, and `version`, once it is copied."""

    table: str
    files: int
    bytes: int
    rows: int
    hash: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class FilesReport:
    """Some files; `hash` of names and contents once they are copied."""

    files: int
    bytes: int
    hash: str | None = None


@dataclass(slots=True)
class Report:
    """What a migration copies, or has copied; a part that does not move is None."""

    source: str
    lake: str
    database: str
    data_dir: str
    tables: list[TableReport] | None = None
    dead_letters: FilesReport | None = None
    state: list[state.Rows] | None = None
    files: dict[str, int] | None = None
    files_hash: str | None = None
    left_behind: dict[str, str] = field(default_factory=dict)
    not_copied: dict[str, str] = field(default_factory=dict)
    """Tables of the state that the new place makes for itself."""
    is_continued: bool = False
    finished_at: str | None = None
    was_finished: bool = False
    """Whether nothing was left to do."""


@dataclass(frozen=True, slots=True)
class _Moves:
    """Which parts of a source do not lie where they are to be."""

    lake: bool
    letters: bool
    state: bool
    data: bool


class Migration:
    """Copies the data directory `source` into the places that settings name."""

    def __init__(
        self,
        settings: Settings,
        source: str,
        source_lake: str | None = None,
        *,
        actor: str = "",
        tell: Callable[[str], object] = lambda text: None,
    ) -> None:
        """InputError for a source that is none, or is the destination, or holds it."""
        self._target, self._tell = settings, tell
        self._source = _source_settings(source, source_lake)
        self._moves = _moves(self._source, settings)
        _require_apart(self._source, settings, self._moves)
        self._who = state.Identity(_identity(self._source), str(self._source.data_dir), actor)
        self._from_lake = place_of(self._source.lake_uri, self._source.lake_options)
        self._to_lake = place_of(settings.lake_uri, settings.lake_options)
        self._to_data = place_of(str(settings.data_dir), {})
        self._report = Report(self._who.source, settings.lake_uri, _database_name(settings), str(settings.data_dir))

    def preview(self) -> Report:
        """What would be copied; nothing is written anywhere. Raises as `run`."""
        with self._begun() as (_, copy, scratch):
            self._check_targets()
            listed = self._list()
            if self._moves.lake:
                found = tables.tables_of(listed)
                self._report.tables = [
                    TableReport(one.name, len(one.files), one.bytes, self._count(one)) for one in found
                ]
            if self._moves.letters:
                letters = letters_of(self._source, place_of_letters(self._target), scratch)
                self._report.dead_letters = FilesReport(len(letters.files), sum(letters.files.values()))
            if copy is not None:
                self._report.state = state.counted(copy)
        return self._report

    def run(self) -> Report:
        """Copy and compare everything. MigrationRefused, and nothing is begun, if the source is in use or a destination
        is not empty; StorageError if something cannot be read, written, or is not what was copied."""
        with self._begun() as (stack, copy, scratch):
            begun = self._check_targets()
            if begun.is_over:
                self._report.was_finished, self._report.finished_at = True, begun.finished_at
                if begun.finished_at is None:
                    self._finish(begun.at)
                return self._report
            self._require_fit()
            server = self._server(stack)
            self._mark(begun.at, None)
            self._report.is_continued = begun.is_continued
            listed = self._list()
            self._copy_tables(listed)
            self._copy_letters(scratch)
            if self._moves.data:
                self._report.files_hash = belongings.copy_belongings(
                    self._source.data_dir, self._target.data_dir, self._report.files or {}
                )
            if self._list() != listed:
                raise changed_meanwhile(self._from_lake.address)
            self._copy_state(copy, server)
            self._finish(begun.at)
        return self._report

    # -- before

    @contextmanager
    def _begun(self) -> Iterator[tuple[ExitStack, Database | None, Path]]:
        """The source kept as it is, a copy of its state if that moves, and a folder of its own."""
        with ExitStack() as stack:
            stack.enter_context(frozen(self._source))
            scratch = stack.enter_context(_scratch(self._who.id))
            copy = None
            if self._moves.state:
                copy = stack.enter_context(state.snapshot(self._source.data_dir / DATABASE_FILE, scratch))
                self._report.not_copied = dict(state.NOT_COPIED)
            listed = self._from_lake.listed()
            if self._moves.data:
                self._report.files = belongings.belongings_of(self._source.data_dir)
                self._report.left_behind = belongings.left_behind(self._source.data_dir)
            if self._moves.lake:
                known = {one.name for one in tables.tables_of(listed)} | _OF_LAKE
                others = sorted({key.partition("/")[0] for key in listed} - known)
                self._report.left_behind |= {f"{self._source.lake_uri}/{one}": "no table" for one in others}
            yield stack, copy, scratch

    def _check_targets(self) -> _Begun:
        """How far this migration has come. MigrationRefused for a place that is another's."""
        notes: list[Note | None] = []
        if self._moves.lake:
            notes.append(self._own_note(self._to_lake, self._lake_is_empty, "FFE_LAKE_URI"))
        if self._moves.data:
            notes.append(self._own_note(self._to_data, self._data_is_empty, "FFE_DATA_DIR"))
        said = None
        if self._moves.state and (database := self._target.database) is not None:
            said = state.is_begun(sa.make_url(database.url), self._who, self._target)
        ours = [one for one in notes if one is not None]
        at = ours[0].begun_at if ours else times.iso(times.now())
        finished = [one.finished_at for one in ours if one.finished_at is not None]
        is_whole = len(finished) == len(notes)
        is_over = said == places.MIGRATED if self._moves.state and self._target.database else is_whole
        if is_over and len(ours) < len(notes):
            raise MigrationRefused(
                f"the database {self._report.database} holds what was copied from {self._who.source} before, and"
                f" {self._to_lake.address} does not; name the lake that was copied with it, or an empty database"
            )
        when = max(finished, default=None) if is_whole else None
        return _Begun(at, bool(ours) or said is not None, is_over, when)

    def _own_note(self, place: Place, is_empty: Callable[[], str | None], setting: str) -> Note | None:
        """The note of this migration in a place; None for one that is empty."""
        found = noted(place)
        if found is not None and found.id == self._who.id:
            return found
        what = f"what ffe migrate copies from {found.source}" if found is not None else is_empty()
        if what is not None:
            raise MigrationRefused(
                f"{place.address} is not empty: it holds {what}; name an empty place in {setting}, or delete what is"
                " there"
            )
        return None

    def _lake_is_empty(self) -> str | None:
        own = _OF_LAKE - {FOLDER}
        return next((key for key in self._to_lake.listed() if key.partition("/")[0] not in own), None)

    def _data_is_empty(self) -> str | None:
        data = self._target.data_dir
        if self._moves.state and not self._target.database and (data / DATABASE_FILE).exists():
            return DATABASE_FILE
        if self._moves.letters and local_folder(self._target.lake_uri) is not None:
            letters = [key for key in place_of_letters(self._target).listed() if key.endswith(".json")]
            if letters:
                return f"the dead letter {letters[0]}"
        belongings.require_room(self._source.data_dir, data, self._report.files or {})
        return None

    def _require_fit(self) -> None:
        if isinstance(self._to_lake, StorePlace) and (self._moves.lake or self._moves.letters):
            probe.require_conditional_puts(self._to_lake.objects)

    def _server(self, stack: ExitStack) -> Database | None:
        """The database of the server that is filled, opened and told so."""
        if not self._moves.state or (address := self._target.database) is None:
            return None
        server = Database(address.url)
        stack.callback(server.close)
        state.begin(server, self._who, self._target)
        return server

    def _mark(self, begun_at: str, finished_at: str | None) -> None:
        """Write how far it is into each folder and store; into the data directory last."""
        about = Note(self._who.id, self._who.source, begun_at, finished_at)
        if self._moves.lake:
            note(self._to_lake, about)
        if self._moves.data:
            make_folder(self._target.data_dir, "the data directory")
            note(self._to_data, about)

    # -- copying

    def _list(self) -> dict[str, int]:
        """Files of the tables of the source."""
        if not self._moves.lake:
            return {}
        return {key: size for one in tables.tables_of(self._from_lake.listed()) for key, size in one.files.items()}

    def _count(self, table: tables.TableFiles) -> int:
        return tables.count_of(self._source.lake_uri, table.name, self._source.lake_options)

    def _copy_tables(self, listed: dict[str, int]) -> None:
        if not self._moves.lake:
            return
        there = self._to_lake.listed()
        self._report.tables = []
        for one in tables.tables_of(listed):
            self._tell(f"{one.name}: {len(one.files):,} files")
            here = tables.contents_of(self._source.lake_uri, one.name, self._source.lake_options)
            tables.copy_table(one, self._from_lake, self._to_lake, there, self._tell)
            copied = tables.contents_of(self._target.lake_uri, one.name, self._target.lake_options)
            tables.require_same(one.name, here, copied, self._target.lake_uri)
            self._report.tables.append(
                TableReport(one.name, len(one.files), one.bytes, copied.rows, copied.hash, copied.version)
            )

    def _copy_letters(self, scratch: Path) -> None:
        if self._moves.letters:
            target = place_of_letters(self._target)
            letters = letters_of(self._source, target, scratch)
            self._tell(f"dead letters: {len(letters.files):,} files")
            hashed = copy_letters(letters, target)
            self._report.dead_letters = FilesReport(len(letters.files), sum(letters.files.values()), hashed)

    def _copy_state(self, copy: Database | None, server: Database | None) -> None:
        if copy is None:
            return
        self._report.state = rows = state.counted(copy)
        self._tell(f"state: {sum(one.rows for one in rows):,} rows")
        if server is None:
            state.into_file(copy, rows, self._target.data_dir / DATABASE_FILE, self._who)
        else:
            state.into_server(copy, rows, server, self._who, self._target)

    def _finish(self, begun_at: str) -> None:
        self._report.finished_at = times.iso(times.now())
        self._mark(begun_at, self._report.finished_at)


@dataclass(frozen=True, slots=True)
class _Begun:
    """When a migration was begun, whether anything was copied before now, and whether all was; `finished_at` where
    every place says so already."""

    at: str
    is_continued: bool
    is_over: bool
    finished_at: str | None


@contextmanager
def _scratch(name: str) -> Iterator[Path]:
    """A folder for a copy of the state, emptied of what a killed migration of the same source has left."""
    folder = Path(tempfile.gettempdir()) / f"ffe-migrate-{name}"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise StorageError(
            f"the folder {folder} for a copy of the state cannot be made: {why(error)}; or let TMPDIR name another"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _source_settings(source: str, lake: str | None) -> Settings:
    data = data_folder(source, "--from")
    file = data / DATABASE_FILE
    if not file.is_file():
        raise InputError(
            f"there is no {DATABASE_FILE} in {data}; name the data directory that is to be copied (a state that is on a"
            " server already is moved by pg_dump and pg_restore, see docs/cluster.md)",
            field="--from",
        )
    address = lake_address(lake, "--from-lake") if lake else lake_address(data / "lake", "--from")
    folder = local_folder(address)
    if folder is not None and not folder.is_dir():
        raise InputError(f"there is no lake in {folder}; name the one of {data}", field="--from-lake")
    settings = Settings.load({"data_dir": str(data), "lake_uri": address, "database_url": ""})
    places.require_whole(settings)
    return settings


def _moves(source: Settings, target: Settings) -> _Moves:
    lake, data = source.lake_uri != target.lake_uri, source.data_dir != target.data_dir
    moves = _Moves(
        lake,
        place_of_letters(source).address != place_of_letters(target).address,
        data or target.database is not None,
        data,
    )
    if not (moves.lake or moves.letters or moves.state or moves.data):
        raise InputError(
            f"{source.data_dir} is what the settings name already; name the new place in FFE_LAKE_URI, FFE_DATABASE_URL"
            " or FFE_DATA_DIR",
            field="--from",
        )
    return moves


def _require_apart(source: Settings, target: Settings, moves: _Moves) -> None:
    """InputError if what is to be filled lies in what is copied, which is never changed, or holds it."""
    sources = [source.data_dir, *filter(None, [local_folder(source.lake_uri)])]
    targets = [target.data_dir] if moves.data else []
    targets += filter(None, [local_folder(target.lake_uri) if moves.lake else None])
    for one in targets:
        for other in sources:
            if one == other or other in one.parents:
                raise InputError(
                    f"{one} lies in {other}, which is copied and not changed; name another folder in"
                    f" {'FFE_DATA_DIR' if one == target.data_dir else 'FFE_LAKE_URI'}"
                )


def _identity(source: Settings) -> str:
    """The same for one source whenever it is asked, and no secret."""
    inode = (source.data_dir / DATABASE_FILE).stat().st_ino
    return sha256(f"{source.data_dir}\n{source.lake_uri}\n{inode}".encode()).hexdigest()[:32]


def _database_name(settings: Settings) -> str:
    return settings.database.place if settings.database else str(settings.data_dir / DATABASE_FILE)
