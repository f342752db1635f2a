"""Do commands keep the state in PostgreSQL where a setting names it, and show its password nowhere?"""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path

import pytest

from ffe_core.cli import main
from ffe_core.operations.settings.explained import explained
from ffe_core.settings import Settings
from tests.postgresql import PASSWORD, Server, programs
from tests.processes import at_once, finish, start

pytestmark = [
    pytest.mark.of_a_state_file("each names its places itself"),
    pytest.mark.of_a_lake_folder("each names its places itself"),
]

BACKFILL = "backfill --provider simulated --pairs BTCUSD --timeframes 1h --start 2024-01-01 --end 2024-01-02".split()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql_server: Server) -> Path:
    """A data directory whose state is in a database of the server."""
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FFE_DATABASE_URL", postgresql_server.database())
    return tmp_path / "data"


def test_one_after_the_other_they_know_what_the_other_did(data: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*BACKFILL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total_records"] > 40
    add = (
        "schedules add --name Hourly --provider simulated --pairs BTCUSD --timeframes 1h --every 60 --since 2024-01-01"
    )
    assert main([*add.split(), "--json"]) == 0
    assert main(["schedules", "list", "--json"]) == 0
    assert '"Hourly"' in capsys.readouterr().out
    assert main(["coverage", "--json"]) == 0
    assert main(["watermarks", "--json"]) == 0
    assert main(["storage", "--json"]) == 0
    assert not (data / "console.db").exists()
    assert PASSWORD not in "".join(path.read_text(errors="replace") for path in data.rglob("*") if path.is_file())


def test_the_servers_own_tools_move_it_to_another_database(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], postgresql_server: Server
):
    """As docs/cluster.md has it."""
    assert main(BACKFILL) == 0
    old, new, dump = Settings.load().database_url, postgresql_server.database(), str(data.parent / "state.dump")
    tools, plain = programs(), [url.replace("+psycopg", "") for url in (old, new)]
    assert tools is not None
    to_file, into = ("--format=custom", "--no-owner", f"--file={dump}"), ("--no-owner", "--exit-on-error")
    subprocess.run([tools / "pg_dump", *to_file, plain[0]], check=True)
    subprocess.run([tools / "pg_restore", *into, "--single-transaction", f"--dbname={plain[1]}", dump], check=True)
    monkeypatch.setenv("FFE_DATABASE_URL", new)
    capsys.readouterr()
    assert main([*BACKFILL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["reason"] == "up_to_date"
    ids = [postgresql_server.run("SELECT id FROM runs ORDER BY id", url.rpartition("/")[2]) for url in (old, new)]
    assert ids == [[(1,)], [(1,), (2,)]]


def test_a_server_that_is_not_there_is_one_sentence_and_exit_status_1(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FFE_DATABASE_URL", f"postgresql+psycopg://ffe:{PASSWORD}@127.0.0.1:1/ffe")
    assert main(BACKFILL) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("the database ffe on 127.0.0.1:1 cannot be reached (")
    assert PASSWORD not in told + caplog.text


def test_an_address_that_is_none_ends_a_command_before_any_work(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("FFE_DATABASE_URL", f"postgresql://ffe:{PASSWORD}@127.0.0.1")
    assert main(BACKFILL) == 2
    told = capsys.readouterr().err
    assert "FFE_DATABASE_URL" in told
    assert PASSWORD not in told


def test_the_settings_page_shows_host_and_database_only(data: Path, postgresql_server: Server):
    [shown] = [one for one in explained(Settings.load()) if one.variable == "FFE_DATABASE_URL"]
    assert shown.value.endswith(f" on 127.0.0.1:{postgresql_server.port}")
    assert "ffe" not in shown.value
    assert (str(shown.source), shown.is_stale) == ("environment", False)


_STANDS_BY = """
import time
from ffe_core.operations.console import ConsoleService
service = ConsoleService().open()
print(service.leads, flush=True)
until = time.monotonic() + 30
while not (found := service.watchlists.all()) and time.monotonic() < until:
    time.sleep(0.05)
print(time.time() - float(found[0].name))
time.sleep(1)
service.drain()
"""
_SAVES = """
import time
from ffe_core.operations.console import ConsoleService
service = ConsoleService().open()
print(service.leads)
service.watchlists.save(str(time.time()), "simulated", ["BTCUSD"], ["1h"], "ann")
service.drain()
"""


def test_two_consoles_see_each_others_changes_and_one_leads(data: Path):
    first = start(_STANDS_BY)
    assert first.stdout is not None
    assert first.stdout.readline().strip() == "True"
    assert at_once(_SAVES, [()])[0].strip() == "False"
    assert float(finish(first)) < 2
