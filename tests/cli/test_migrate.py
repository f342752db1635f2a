"""`ffe migrate` as a process: everything of a console arrives, kills cost nothing, and who is in the way is named."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from ffe_core.cli import main
from ffe_core.errors import DatabaseError, MigrationRefused, StorageError
from ffe_core.operations.migration import service, state
from ffe_core.operations.migration.places import FolderPlace, Note, note, place_of
from ffe_core.providers import PROVIDERS
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.opening import queue_of
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.locks import ALIVE, LEAD, LEASE, FileLocks
from ffe_core.storage.state.database import DATABASE_FILE, Database, metadata
from ffe_core.storage.state.faults import UNFINISHED
from ffe_core.storage.state.opening import open_state
from ffe_core.storage.state.watchlists import Watchlists
from tests.cli.test_backfill import command
from tests.cli.test_backfill import environment as _environment
from tests.files.making import candles, kline, text
from tests.object_store import SECRET, Store
from tests.postgresql import PASSWORD, Server
from tests.storage.state import releases

pytestmark = [
    pytest.mark.of_a_state_file("each names its places itself"),
    pytest.mark.of_a_lake_folder("each names its places itself"),
]

PAIRS = ["--provider", "simulated", "--pairs", "BTCUSD,EURUSD", "--timeframes", "1h,1d"]
DAYS = ["--start", "2024-01-01", "--end", "2024-02-29"]
TABLES = ("raw_market_data_1d", "raw_market_data_1h", "raw_market_data_1m")
HOURS = TABLES[1]
RULE = '[[rule]]\nname = "narrow"\nsays = "a bar is narrow"\nholds = "high <= 9 * low"\n'


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a console that was used for everything."""
    folder = tmp_path_factory.mktemp("console")
    data = folder / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FFE_DATA_DIR", str(data))
        patch.setenv("FFE_SIMULATED__BROKEN_RECORDS", "0.01")
        assert main(["backfill", *PAIRS, *DAYS]) == 0
        patch.setenv("FFE_SIMULATED__SEED", "1")
        assert main(["backfill", *PAIRS, "--start", "2024-01-10", "--end", "2024-01-20", "--mode", "refetch"]) == 0
        (folder / "BTCUSDT-1m-2024-01-15.csv").write_bytes(text(kline(1000, 60))(candles("1m")))
        for words in (
            ["schedules", "add", "--name", "Hourly", *PAIRS, "--every", "60", "--since", "2024-01-01"],
            ["coverage", "mark", *PAIRS[:4], "--timeframes", "1h", "--start", "2024-03-03", "--end", "2024-03-03",
             "--reason", "no trades"],
            ["actions", "add", "AAPL", "2014-06-09", "--split", "7:1", "--reason", "known"],
            ["import", str(folder / "BTCUSDT-1m-2024-01-15.csv"), "--as", "files:mine"],
            ["check"],
        ):  # fmt: skip
            assert main(words) in (0, 1), words
        [first, *_] = [row.batch_id for row in queue_of(Settings.load()).find(limit=100).rows]
        assert main(["dlq", "discard", first, "--reason", "seen"]) == 0
        database = open_state(Settings.load())
        Watchlists(database).save("Majors", "simulated", ["BTCUSD", "EURUSD"], ["1h"], "ann")
        database.close()
    (data / "rules.toml").write_text(RULE)
    (data / "profiles").mkdir(exist_ok=True)
    (data / "profiles" / "ours.toml").write_text("# a profile\n")
    (data / "notes.txt").write_text("of somebody")
    return data


@pytest.fixture
def old(console: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may do anything to."""
    return Path(shutil.copytree(console, tmp_path / "old"))


@pytest.fixture
def new(tmp_path: Path, object_store: Store, postgresql_server: Server) -> dict[str, str]:
    """Settings of a place in a store and a server, and a data directory of its own."""
    return {
        "FFE_DATA_DIR": str(tmp_path / "new"),
        "FFE_LAKE_URI": object_store.address(),
        "FFE_DATABASE_URL": postgresql_server.database(),
        **object_store.variables(),
    }


def migrate(source: Path, place: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_words(source, *words), env=environment(place), capture_output=True, text=True, timeout=120)


def environment(place: Mapping[str, str]) -> dict[str, str]:
    return _environment(Path(place["FFE_DATA_DIR"]), **place)


def _words(source: Path, *words: str) -> list[str]:
    return command("migrate", "--from", str(source), *words)


def settings_of(place: Mapping[str, str]) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.items():
            patch.setenv(name, value)
        return Settings.load()


def place_of_folder(folder: Path) -> dict[str, str]:
    return {"FFE_DATA_DIR": str(folder)}


def held(place: Mapping[str, str]) -> dict[str, Any]:
    """All that a place holds, as the program reads it."""
    settings = settings_of(place)
    lake = DeltaLakeManager.of(settings)
    found: dict[str, Any] = {"marks": lake.all_marks(list(PROVIDERS))}
    for name in filter(lake.table_exists, TABLES):
        rows = lake.read_table(name)
        found[name] = rows.sort_values(list(rows.columns)).reset_index(drop=True)
        found[f"{name} history"] = lake.get_table_history(name)["version"].tolist()
    queue = queue_of(settings)
    batches = [queue.read(one) for one in queue.select()]
    found["dead letters"] = sorted((one.id, one.status, one.history, [r.value for r in one.records]) for one in batches)
    found["state"] = rows_of(
        Database(settings.database.url if settings.database else settings.data_dir / DATABASE_FILE)
    )
    return found


def rows_of(database: Database) -> dict[str, list[Any]]:
    try:
        with database.read() as connection:
            return {
                table.name: sorted(map(repr, connection.execute(sa.select(table))))
                for table in metadata.sorted_tables
                if table.name not in state.NOT_COPIED
            }
    finally:
        database.close()


def require_same(here: dict[str, Any], there: dict[str, Any], *, acts: int = 1) -> None:
    """The copy holds what the source does, and one more row of the audit."""
    here, there = dict(here), dict(there)
    old_state, new_state = dict(here.pop("state")), dict(there.pop("state"))
    more = set(new_state.pop("audit")) - set(old_state.pop("audit"))
    assert len(more) == acts
    assert all(state.VERB in row for row in more)
    assert new_state == old_state
    for name, value in here.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, there[name])
        else:
            assert there[name] == value, name


def content_of(data: Path) -> dict[str, Any]:
    """Every file of a data directory but its locks, and the rows of its state."""
    files = {
        str(path.relative_to(data)): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file() and "locks" not in path.parts and not path.name.startswith(DATABASE_FILE)
    }
    with closing(sqlite3.connect(data / DATABASE_FILE)) as connection:
        return {**files, "state": list(connection.iterdump())}


@pytest.fixture
def untouched(old: Path) -> Iterator[None]:
    """The source is the same afterwards."""
    before = content_of(old)
    yield
    assert content_of(old) == before


# -- everything arrives


def test_a_whole_console_is_what_the_tests_think_it_is(console: Path) -> None:
    seen = held(place_of_folder(console))
    filled = {name for name, rows in seen["state"].items() if rows}
    assert {
        "runs",
        "run_series",
        "run_log",
        "schedules",
        "watchlists",
        "audit",
        "marked_holes",
        "checked_series",
    } <= filled
    assert any(status != "pending" for _, status, _, _ in seen["dead letters"])
    hours = seen[HOURS]
    assert hours.duplicated(["asset_pair", "timestamp"]).any(), "restated"


@pytest.mark.usefixtures("untouched")
def test_everything_arrives_in_a_store_and_a_server(old: Path, new: dict[str, str], postgresql_server: Server) -> None:
    done = migrate(old, new, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["table"] for one in told["tables"]] == list(TABLES)
    assert told["finished_at"]
    assert not told["is_continued"]
    assert told["left_behind"]["notes.txt"] == "not of this program"
    assert {"locks", "watermarks"} <= told["left_behind"].keys()
    assert PASSWORD not in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr

    data = Path(new["FFE_DATA_DIR"])
    for name in ("rules.toml", "splits.csv", "profiles/ours.toml", "watermarks/watermarks.json"):
        assert (data / name).read_bytes() == (old / name).read_bytes()
    assert not (data / DATABASE_FILE).exists()
    require_same(held(place_of_folder(old)), held(new))

    again = subprocess.run(
        command("backfill", *PAIRS, *DAYS, "--json"), env=environment(new), capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stderr
    assert {one["reason"] for one in json.loads(again.stdout)["results"]} == {"up_to_date"}
    other = {**new, "FFE_LAKE_URI": f"{new['FFE_LAKE_URI']}-other"}
    with pytest.raises(DatabaseError, match="belongs to the lake"):
        open_state(settings_of(other))


@pytest.mark.usefixtures("untouched")
def test_a_server_beside_a_lake_in_a_folder_knows_its_dead_letters(
    old: Path, new: dict[str, str], tmp_path: Path
) -> None:
    place = {name: new[name] for name in ("FFE_DATA_DIR", "FFE_DATABASE_URL")}
    done = migrate(old, place)
    assert done.returncode == 0, done.stderr
    open_state(settings_of(place)).close()
    lake = str(Path(place["FFE_DATA_DIR"]) / "lake")
    with pytest.raises(DatabaseError, match=r"belongs to the dead letters in .*/new/dlq"):
        open_state(settings_of({**place, "FFE_DATA_DIR": str(tmp_path / "other"), "FFE_LAKE_URI": lake}))


def test_ids_go_on_after_the_largest(old: Path, new: dict[str, str]) -> None:
    assert migrate(old, new).returncode == 0
    before = held(place_of_folder(old))["state"]["runs"]
    subprocess.run(command("check"), env=environment(new), capture_output=True, text=True, timeout=120)
    database = Database(new["FFE_DATABASE_URL"])
    with database.read() as connection:
        ids = sorted(connection.scalars(sa.select(metadata.tables["runs"].c.id)))
    database.close()
    assert ids == list(range(1, len(before) + 2))


@pytest.mark.usefixtures("untouched")
def test_everything_arrives_in_another_folder(old: Path, tmp_path: Path) -> None:
    place = place_of_folder(tmp_path / "new")
    done = migrate(old, place)
    assert done.returncode == 0, done.stderr
    assert "Both hold the same" in done.stdout
    require_same(held(place_of_folder(old)), held(place))


def test_from_a_store_to_another_and_back_to_a_folder(
    old: Path, new: dict[str, str], tmp_path: Path, object_store: Store
) -> None:
    first = {
        **object_store.variables(),
        "FFE_DATA_DIR": str(tmp_path / "first"),
        "FFE_LAKE_URI": object_store.address(),
    }
    assert migrate(old, first).returncode == 0
    queue = queue_of(settings_of(first))
    pending = [row.batch_id for row in queue.find(limit=100).rows]
    done = subprocess.run(
        command("dlq", "discard", pending[-1], "--reason", "added in the store"),
        env=environment(first), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = ("--from-lake", first["FFE_LAKE_URI"])
    second = {**first, "FFE_DATA_DIR": str(tmp_path / "second"), "FFE_LAKE_URI": object_store.address()}
    for place in (second, {**object_store.variables(), **place_of_folder(tmp_path / "back")}):
        done = migrate(tmp_path / "first", place, *words)
        assert done.returncode == 0, done.stderr
        require_same(held(first), held(place))


def test_the_data_directory_may_stay(old: Path, new: dict[str, str]) -> None:
    place = {**new, "FFE_DATA_DIR": str(old)}
    before = held(place_of_folder(old))
    done = migrate(old, place)
    assert done.returncode == 0, done.stderr
    assert f"data directory {old} (stays)" in done.stdout
    require_same(before, held(place))
    moved = sorted(path.name for path in (old / "dlq" / "moved").iterdir())
    assert moved, "by the first start on the new place"


@pytest.mark.parametrize("kind", ["folder", "server"])
def test_a_data_directory_of_an_earlier_release_arrives_upgraded(
    tmp_path: Path, new: dict[str, str], kind: str
) -> None:
    source = releases.unpacked(tmp_path / "release")
    before, version = content_of(source), releases.version(source / DATABASE_FILE)
    place = new if kind == "server" else place_of_folder(tmp_path / "new")
    done = migrate(source, place)
    assert done.returncode == 0, done.stderr
    assert releases.version(source / DATABASE_FILE) == version
    assert content_of(source) == before
    seen = held(place)
    require_same(held(place_of_folder(source)), seen)
    assert seen["state"]["runs"]


def test_values_that_the_two_databases_hold_differently_arrive(old: Path, new: dict[str, str]) -> None:
    with closing(sqlite3.connect(old / DATABASE_FILE)) as connection, connection:
        connection.execute("UPDATE run_log SET text = 'a' || char(0) || 'b' WHERE id = 1")
        connection.execute("UPDATE run_series SET result = 'null' WHERE run_id = 1 AND asset_pair = 'BTCUSD'")
        connection.execute("UPDATE run_series SET result = NULL WHERE run_id = 1 AND asset_pair = 'EURUSD'")
        connection.execute("""UPDATE runs SET parameters = '{"z": NaN, "a": [1, "\\u0000\\ud800"]}' WHERE id = 1""")
    done = migrate(old, new)
    assert done.returncode == 0, done.stderr
    database = Database(new["FFE_DATABASE_URL"])
    with database.read() as connection:
        ask = lambda text: connection.exec_driver_sql(text).scalar()  # noqa: E731
        assert ask("SELECT text FROM run_log WHERE id = 1") == "a\N{REPLACEMENT CHARACTER}b"
        assert ask("SELECT count(*) FROM run_series WHERE result IS NULL AND run_id = 1") == 2
        assert ask("SELECT count(*) FROM run_series WHERE CAST(result AS text) = 'null'") == 2
        parameters = ask("SELECT CAST(parameters AS text) FROM runs WHERE id = 1")
        assert parameters == '{"z": "NaN", "a": [1, "\\u0000\\ud800"]}'
        assert ask("SELECT priority FROM schedules") is True
    database.close()


def test_a_lake_alone_may_move(old: Path, tmp_path: Path) -> None:
    place = {**place_of_folder(old), "FFE_LAKE_URI": str(tmp_path / "lake")}
    before = held(place_of_folder(old))
    done = migrate(old, place)
    assert done.returncode == 0, done.stderr
    assert f"database {old / DATABASE_FILE} (stays)" in done.stdout
    require_same(before, held(place), acts=0)


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_says_what_would_be_copied_and_writes_nothing(old: Path, new: dict[str, str], tmp_path: Path) -> None:
    done = migrate(old, new, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    copied = json.loads(migrate(old, new, "--json").stdout)
    assert [(one["table"], one["files"], one["bytes"], one["rows"]) for one in told["tables"]] == [
        (one["table"], one["files"], one["bytes"], one["rows"]) for one in copied["tables"]
    ]
    assert told["state"] == copied["state"]
    assert told["dead_letters"]["files"] == copied["dead_letters"]["files"] > 0
    assert not copied["is_continued"], "the dry run wrote something"


# -- kills


@pytest.mark.usefixtures("untouched")
def test_killed_at_random_moments_it_goes_on_and_doubles_nothing(old: Path, new: dict[str, str]) -> None:
    chance, kills, refused = random.Random(20), 0, 0
    for place in range(40):  # later each time, until it comes to its end
        process = subprocess.Popen(
            _words(old), env=environment(new), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            _, said = process.communicate(timeout=chance.uniform(0.9, 1.1) * (0.4 + 0.1 * place))
            assert process.returncode == 0, said
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            refused += is_unfinished(new)
    assert kills
    done = migrate(old, new, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished_at"]
    require_same(held(place_of_folder(old)), held(new))


def is_unfinished(place: Mapping[str, str]) -> bool:
    """Whether a console is refused, as not all is there."""
    try:
        open_state(settings_of(place)).close()
    except DatabaseError as error:
        return error.code == UNFINISHED
    return False


@pytest.mark.parametrize("step", ["_mark", "_copy_tables", "_copy_letters", "_copy_state", "_finish"])
@pytest.mark.parametrize("kind", ["folder", "server"])
def test_ended_after_any_step_nobody_opens_it_and_it_goes_on(
    old: Path, new: dict[str, str], step: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new if kind == "server" else place_of_folder(Path(new["FFE_DATA_DIR"]))
    settings, real = settings_of(place), getattr(service.Migration, step)

    def ended(self: Any, *given: Any) -> None:
        real(self, *given)
        raise KeyboardInterrupt

    monkeypatch.setattr(service.Migration, step, ended)
    with pytest.raises(KeyboardInterrupt):
        service.Migration(settings, str(old)).run()
    assert is_unfinished(place) == (step != "_finish")
    monkeypatch.undo()
    report = service.Migration(settings, str(old)).run()
    assert report.was_finished == (step == "_finish" or (kind, step) == ("server", "_copy_state"))
    require_same(held(place_of_folder(old)), held(place))
    assert service.Migration(settings, str(old)).run().was_finished


def test_what_the_source_got_between_two_attempts_arrives_too(
    old: Path, new: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(service.Migration, "_copy_state", ended)
        with pytest.raises(KeyboardInterrupt):
            service.Migration(settings_of(new), str(old)).run()
    more = ["--start", "2024-03-01", "--end", "2024-03-31"]
    ours = _environment(old, FFE_SIMULATED__BROKEN_RECORDS="0.01")
    done = subprocess.run(command("backfill", *PAIRS, *more), env=ours, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert migrate(old, new).returncode == 0
    require_same(held(place_of_folder(old)), held(new))


# -- who is in the way


def test_who_uses_the_source_is_named(old: Path, tmp_path: Path) -> None:
    locks = FileLocks(old / "locks")
    for lock, words in (
        (locks.lock(LEAD, "leader"), "is used by a console, or another ffe migrate (process "),
        (locks.lock(LEASE, "BTCUSD_1h_simulated"), "run 7 (process "),
        (locks.lock(ALIVE, "4711-abc"), "is used by process 4711"),
    ):
        assert lock.take("run 7")
        try:
            done = migrate(old, place_of_folder(tmp_path / "new"))
            assert done.returncode == 1
            assert words in done.stderr
        finally:
            lock.release()
    assert not (tmp_path / "new").exists()


def test_a_source_that_somebody_writes_to_meanwhile_is_told(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = service.Migration._copy_letters

    def meanwhile(self: Any, scratch: Path) -> None:
        real(self, scratch)
        (old / "lake" / HOURS / "more.parquet").write_bytes(b"x")

    monkeypatch.setattr(service.Migration, "_copy_letters", meanwhile)
    with pytest.raises(StorageError, match="was changed by another program"):
        service.Migration(settings_of(place_of_folder(tmp_path / "new")), str(old)).run()


def test_no_command_begins_anything_on_the_source_meanwhile(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    real = service.Migration._copy_letters

    def meanwhile(self: Any, scratch: Path) -> None:
        real(self, scratch)
        with closing(sqlite3.connect(old / DATABASE_FILE, timeout=0.1)) as connection:
            try:
                connection.execute("DELETE FROM runs")
            except sqlite3.OperationalError as error:
                tried.append(error.sqlite_errorname)

    monkeypatch.setattr(service.Migration, "_copy_letters", meanwhile)
    service.Migration(settings_of(place_of_folder(tmp_path / "new")), str(old)).run()
    assert tried == ["SQLITE_BUSY"]


def test_a_place_that_holds_something_is_refused(old: Path, new: dict[str, str]) -> None:
    settings = settings_of(new)
    lake, data = place_of(settings.lake_uri, settings.lake_options), Path(new["FFE_DATA_DIR"])
    other = Note("another", "/srv/other", "2024-01-01T00:00:00+00:00")
    data.mkdir()
    folder = place_of_folder(data)

    (data / DATABASE_FILE).write_text("")
    assert "it holds console.db; name an empty place in FFE_DATA_DIR" in refusal(old, folder)
    (data / DATABASE_FILE).unlink()
    (data / "rules.toml").write_text("# others")
    assert "is not the rules.toml of" in refusal(old, new)
    (data / "rules.toml").unlink()
    note(place_of(str(data), {}), other)
    assert "it holds what ffe migrate copies from /srv/other" in refusal(old, new)
    (data / ".migration.json").write_text("{")
    assert "cannot be read" in refusal(old, new)
    (data / ".migration.json").unlink()
    note(lake, other)
    assert f"{settings.lake_uri} is not empty: it holds what ffe migrate copies" in refusal(old, new)
    shop = {**new, "FFE_LAKE_URI": f"{settings.lake_uri}-2"}
    place_of(shop["FFE_LAKE_URI"], settings.lake_options).write("a/b.txt", b"x")
    assert "it holds a/b.txt; name an empty place in FFE_LAKE_URI" in refusal(old, shop)


def test_a_database_that_holds_something_is_refused(
    old: Path, new: dict[str, str], postgresql_server: Server, object_store: Store
) -> None:
    database = Database(new["FFE_DATABASE_URL"])
    Watchlists(database).save("Mine", "simulated", ["BTCUSD"], ["1h"], "ann")
    database.close()
    assert "it holds rows of the table watchlists; name an empty database in FFE_DATABASE_URL" in refusal(old, new)
    used = {**new, "FFE_DATABASE_URL": postgresql_server.database()}
    database = open_state(settings_of({**used, "FFE_LAKE_URI": object_store.address()}))
    database.close()
    assert "it holds the state of the lake s3://" in refusal(old, used)
    half = {**new, "FFE_DATABASE_URL": postgresql_server.database()}
    database = Database(half["FFE_DATABASE_URL"])
    state.begin(database, state.Identity("another", "/srv/other", "ann"), settings_of(half))
    database.close()
    assert "it holds what ffe migrate copies from /srv/other" in refusal(old, half)


def refusal(source: Path, place: Mapping[str, str]) -> str:
    """What one run of the command is told, which writes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.items():
            patch.setenv(name, value)
        with pytest.raises(MigrationRefused) as refused:
            service.Migration(Settings.load(), str(source)).run()
    return str(refused.value)


# -- bad input


@pytest.mark.parametrize(
    ("source", "place", "words"),
    [
        ("old", {"FFE_DATA_DIR": "{old}"}, "is what the settings name already"),
        ("nowhere", {"FFE_DATA_DIR": "{new}"}, "there is no console.db in"),
        (
            "old",
            {"FFE_DATA_DIR": "{old}/lake/new"},
            "which is copied and not changed; name another folder in FFE_DATA_DIR",
        ),
        ("old", {"FFE_DATA_DIR": "{new}", "FFE_LAKE_URI": "{old}/other"}, "name another folder in FFE_LAKE_URI"),
    ],
)
def test_places_that_cannot_be_are_wrong_usage(
    old: Path, tmp_path: Path, source: str, place: dict[str, str], words: str
) -> None:
    where = {name: value.format(old=old, new=tmp_path / "new") for name, value in place.items()}
    done = migrate(tmp_path / source, where)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_destination_that_cannot_be_reached_is_a_sentence_without_secrets(
    old: Path, new: dict[str, str], postgresql_server: Server
) -> None:
    wrong = new["FFE_DATABASE_URL"].replace(PASSWORD, "Qx7-other-word")
    for given, words in (
        ({"FFE_DATABASE_URL": f"postgresql+psycopg://ffe:{PASSWORD}@127.0.0.1:1/ffe"}, "cannot be reached"),
        ({"FFE_DATABASE_URL": wrong}, "cannot be"),
        ({"FFE_STORE__ENDPOINT_URL": "http://127.0.0.1:9"}, "the object store at 127.0.0.1:9 cannot be reached"),
        ({"FFE_LAKE_URI": "s3://elsewhere/lake"}, "there is no such bucket"),
    ):
        done = migrate(old, {**new, **given})
        assert done.returncode == 1, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert not {PASSWORD, SECRET, "Qx7-other-word"} & set(done.stdout.split() + done.stderr.split())
        assert PASSWORD not in done.stderr
        assert "Qx7-other-word" not in done.stderr


def test_a_damaged_source_is_a_sentence(old: Path, tmp_path: Path) -> None:
    place = place_of_folder(tmp_path / "new")
    data = next((old / "lake" / HOURS).rglob("*.parquet"))
    content = data.read_bytes()
    data.unlink()
    done = migrate(old, place)
    assert done.returncode == 1
    assert f"table {HOURS} in {old / 'lake'} cannot be read" in done.stderr
    data.write_bytes(content)
    file = old / DATABASE_FILE
    kept = file.read_bytes()
    file.write_bytes(b"no database" * 1000)
    done = migrate(old, place)
    assert done.returncode == 1
    assert f"the database {file} " in done.stderr
    assert "is damaged" in done.stderr
    file.write_bytes(kept)
    done = migrate(old, place)
    assert done.returncode == 0, done.stderr


def test_a_disk_that_is_full_is_a_sentence_and_the_same_command_goes_on(old: Path, tmp_path: Path) -> None:
    place = place_of_folder(tmp_path / "new")
    limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "-", *_words(old)]
    done = subprocess.run(
        limited, env={**environment(place), "TMPDIR": str(tmp_path)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    done = migrate(old, place)
    assert done.returncode == 0, done.stderr
    require_same(held(place_of_folder(old)), held(place))


def test_every_table_of_the_state_is_copied_or_named(old: Path) -> None:
    with closing(sqlite3.connect(old / DATABASE_FILE)) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    copied = {table.name for table in state.tables()}
    assert copied | state.NOT_COPIED.keys() == there - {"alembic_version", "sqlite_sequence"}


def test_a_torn_copy_is_found(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FolderPlace.write

    def torn(self: FolderPlace, key: str, content: bytes) -> None:
        real(self, key, content[:-1] if key.startswith("2") and key.endswith(".json") else content)

    monkeypatch.setattr(FolderPlace, "write", torn)
    with pytest.raises(StorageError, match="is not what was written there"):
        service.Migration(settings_of(place_of_folder(tmp_path / "new")), str(old)).run()
