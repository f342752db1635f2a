"""What is said of a cluster before anything of Ray's is started? One sentence, with the next step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from ffe_core import redaction
from ffe_core.cli import main, worker
from ffe_core.errors import InputError, PackageMissing
from ffe_core.operations.runs.cluster import needs, node
from ffe_core.operations.runs.service import RunService
from ffe_core.ray_address import ray_address
from ffe_core.settings import Settings
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.postgresql import Server
from tests.processes import ROOT

TOKEN = "a-token-of-the-tests"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The process that a command runs: its command line and its environment."""
    found: list[Any] = []

    def ended(command: list[str], environment: dict[str, str]) -> int:
        found.extend((command, environment))
        return 0

    def run(*words: str) -> None:
        assert main(["worker", *words]) == 0

    monkeypatch.setattr(worker, "_ended", ended)
    found.append(run)
    return found


@pytest.mark.parametrize("good", ["head:6379", "head.example:1", "10.0.0.1:65535", "[fd00::1]:6379"])
def test_an_address_is_host_and_port(good: str) -> None:
    assert ray_address(good) == good


@pytest.mark.parametrize(
    "bad",
    ["auto", "local", "head", ":6379", "head:0", "head:65536", "ray://head:10001", "a b:1", "head:1/x", "head:6379 x"],
)
def test_another_address_is_refused_by_the_name_of_its_setting(bad: str) -> None:
    with pytest.raises(InputError, match=r"FFE_RAY_ADDRESS: .*head\.example:6379"):
        Settings.load({"ray_address": bad})


def test_workers_need_the_state_on_a_server(tmp_path: Path) -> None:
    database = Database(tmp_path / DATABASE_FILE)
    settings = Settings.load({"data_dir": str(tmp_path), "ray_address": "head:6379"})
    try:
        with pytest.raises(InputError, match="FFE_DATABASE_URL: workers on other machines need the state"):
            RunService(settings, database)
    finally:
        database.close()


def test_no_process_of_ray_starts_without_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--head"]) == 2
    assert "RAY_AUTH_TOKEN: whoever reaches a port of Ray runs code on the machine" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["variable", "named file", "home"])
def test_a_token_is_found_where_ray_looks_for_it(where: str, tmp_path: Path) -> None:
    file = tmp_path / (".ray/auth_token" if where == "home" else "token")
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{TOKEN}\n")
    named = {"variable": {"RAY_AUTH_TOKEN": TOKEN}, "named file": {"RAY_AUTH_TOKEN_PATH": str(file)}, "home": {}}[where]
    environment = needs.ray_environment({"PATH": "/bin", **named})
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


def test_an_empty_token_is_none(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" \n")
    for named in ({"RAY_AUTH_TOKEN": " "}, {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}):
        with pytest.raises(InputError, match="no token is set"):
            needs.ray_environment(named)


def test_the_token_reaches_no_text() -> None:
    needs.ray_environment({"RAY_AUTH_TOKEN": TOKEN})
    assert redaction.redact(f"it is {TOKEN}") == "it is ***"


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda name: None)
    with pytest.raises(PackageMissing, match=r"pip install 'ffe-console\[cluster\]'"):
        needs.ray_environment({"RAY_AUTH_TOKEN": TOKEN})


def test_a_worker_names_its_head(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    assert main(["worker"]) == 2
    assert "--address: name the cluster's head" in capsys.readouterr().err


def test_a_worker_opens_the_state_before_it_joins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    assert main(["worker", "--address", "head:6379"]) == 2
    assert "need the state in PostgreSQL" in capsys.readouterr().err
    monkeypatch.setenv("FFE_DATABASE_URL", "postgresql+psycopg://ffe:Zw9-plain-word@127.0.0.1:1/ffe")
    assert main(["worker", "--address", "head:6379"]) == 1
    said = capsys.readouterr().err
    assert "cannot be reached" in said
    assert "plain-word" not in said


def test_the_head_shows_no_dashboard_and_reports_to_nobody(became: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    run, *_ = became
    run("--head", "--port", "7000", "--host", "10.0.0.5", "--", "--min-worker-port", "6400")
    command, environment = became[1:]
    words = " ".join(command)
    assert TOKEN not in words
    assert "start --block --disable-usage-stats" in words
    for given in (
        "--head --port 7000 --include-dashboard false",
        "--node-ip-address 10.0.0.5",
        "--min-worker-port 6400",
    ):
        assert given in words
    assert "ffe_worker" not in words
    assert environment["RAY_AUTH_MODE"] == "token"
    run("--head")
    folders = [folder_in(became[-2]), folder_in(command)]
    assert len(set(folders)) == 2
    assert not any(map(os.path.lexists, folders))  # gone with the head


def folder_in(command: list[str]) -> str:
    return command[command.index("--temp-dir") + 1]


def test_a_worker_joins_by_its_name(
    became: list[Any], monkeypatch: pytest.MonkeyPatch, postgresql_server: Server, state_template: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("FFE_RAY_ADDRESS", "head:6379")
    monkeypatch.setenv("FFE_DATABASE_URL", postgresql_server.database(state_template))
    run, *_ = became
    run("--name", "north")
    words = " ".join(became[1])
    assert '--address head:6379 --resources {"ffe_worker": 1}' in words
    assert "--node-name north" in words
    assert worker.VERBS["worker"]
    run("--name", "south")
    folders = [folder_in(became[-2]), folder_in(words.split())]
    assert len(set(folders)) == 2
    assert not any(map(os.path.lexists, folders))  # gone with the worker
    run("--name", "north", "--", "--temp-dir", "/short")
    assert [folder_in(became[-2]), became[-2].count("--temp-dir")] == ["/short", 1]


def counted(folder: Path, *statuses: int, seconds: float = 0.0) -> list[str]:
    """A command that ends with one status after the other, and notes each time that it was started."""
    code = """
import pathlib, sys, time
folder, seconds, *statuses = sys.argv[1:]
time.sleep(float(seconds))
number = len(list(pathlib.Path(folder).glob("start-*")))
pathlib.Path(folder, f"start-{number}").touch()
sys.exit(int(statuses[number]))
"""
    return [sys.executable, "-c", code, str(folder), str(seconds), *map(str, statuses)]


@pytest.mark.slow
def test_a_node_that_was_too_slow_to_start_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(node, "_START_SECONDS", 0.2)
    assert worker._ended(counted(tmp_path, 1, 1, 0, seconds=0.3), os.environ) == 0
    assert len(list(tmp_path.glob("start-*"))) == 3
    assert "it is started again" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("limits", [(3600.0, 7200.0), (0.0, 0.01)], ids=["cannot start", "has worked"])
def test_a_node_that_cannot_start_or_has_worked_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: tuple[float, float]
) -> None:
    for name, seconds in zip(("_START_SECONDS", "_STARTED_SECONDS"), limits, strict=True):
        monkeypatch.setattr(node, name, seconds)
    assert worker._ended(counted(tmp_path, 3), os.environ) == 3
    assert len(list(tmp_path.glob("start-*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_a_worker_runs_ends_with_it(tmp_path: Path, number: signal.Signals) -> None:
    code = """
import os, sys
from ffe_core.cli import interruption, output, worker
interruption.listen(output.end_now)
inner = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
sys.exit(worker._ended([sys.executable, "-c", inner], os.environ))
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    process.send_signal(number)
    child.wait(30)
    assert process.wait(30) == (-number if number == signal.SIGKILL else 128 + number)
    process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "again"), [(0.0, True), (3600.0, False)])
def test_the_node_of_a_console_is_started_again_if_it_was_too_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float, again: bool
) -> None:
    monkeypatch.setattr(node, "_START_SECONDS", limit)
    monkeypatch.setattr(node, "_STARTED_SECONDS", 7200.0)
    monkeypatch.setattr(node, "start_command", lambda *_: counted(tmp_path, 1, 1))
    made = node.ConsoleNode("head:6379", tmp_path / "node")
    assert made._starts([])
    assert made._process is not None
    made._process.wait(30)
    assert made._starts([]) == again
    made.leave()
    assert len(list(tmp_path.glob("start-*"))) <= 1 + again
