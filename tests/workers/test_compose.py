"""Is the compose file one that this program can be started by? Docker itself does not run here."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ffe_core.cli.parser import parser
from ffe_core.operations.runs.cluster.needs import check_state, ray_environment
from ffe_core.settings import Settings, unknown_settings
from tests.browser.driver import Server

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "cluster"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("console", "worker", "head")
_GIVEN = re.compile(r"\$\{(\w+):([?-])([^}]*)\}")


def environment(service: str) -> dict[str, str]:
    """The environment of a service, with what a person puts in .env."""
    written = SERVICES[service].get("environment", {})
    return {name: _GIVEN.sub(lambda m: "a-long-text" if m[2] == "?" else m[3], text) for name, text in written.items()}


def checked(service: str, **changes: str) -> int:
    """The exit status of a service's health check, run here with some of its words replaced."""
    kind, *command = SERVICES[service]["healthcheck"]["test"]
    assert kind == "CMD"
    words = [sys.executable if word == "python" else word for word in command]
    for old, new in changes.items():
        words = [word.replace(old.removeprefix("_"), new) for word in words]
    return subprocess.run(words, capture_output=True, timeout=60, check=False).returncode


@pytest.mark.parametrize("service", OURS)
def test_each_command_is_one_that_there_is(service: str) -> None:
    words = SERVICES[service]["command"]
    assert parser(words).parse_args(words).verb == words[0]


@pytest.mark.parametrize("service", ["console", "worker"])
def test_each_setting_is_one_that_there_is_and_will_do(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(service).items():
        monkeypatch.setenv(name, value)
    assert unknown_settings() == []
    settings = Settings.load()
    check_state(settings)
    assert settings.ray_address.partition(":")[0] in SERVICES
    assert settings.database is not None
    assert settings.database.place.partition(" on ")[2].partition(":")[0] in SERVICES


def test_console_and_worker_have_the_same_settings_and_all_of_ray_has_a_token() -> None:
    assert environment("console") == environment("worker")
    for service in OURS:
        assert ray_environment(environment(service))["RAY_AUTH_TOKEN"]


def test_secrets_are_asked_for_and_none_is_written_down() -> None:
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    asked = {name for name, how, _ in _GIVEN.findall(text) if how == "?"}
    listed = set(re.findall(r"^#? ?(\w+)=", (FOLDER / "example.env").read_text(encoding="utf-8"), re.MULTILINE))
    assert asked == {"RAY_AUTH_TOKEN", "DATABASE_PASSWORD", "STORE_PASSWORD"}
    assert asked <= listed
    for line in text.splitlines():
        if re.search(r"(TOKEN|PASSWORD|SECRET\w*|API_KEY):", line):
            assert "${" in line, line


def test_nothing_but_the_console_is_published_and_that_to_this_machine_only() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["console"]
    assert all(one.startswith("127.0.0.1:") for one in published["console"])


def test_whatever_goes_on_has_a_health_check_and_waits_for_what_it_needs() -> None:
    for name, service in SERVICES.items():
        assert ("restart" in service) == ("healthcheck" in service), name
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_healthy" if "healthcheck" in SERVICES[needed] else "service_completed_successfully"
            assert how["condition"] == wanted, (name, needed)


def test_the_image_is_built_of_files_that_there_are() -> None:
    build = SERVICES["console"]["build"]
    root = (FOLDER / build["context"]).resolve()
    assert root == ROOT
    lines = (root / build["dockerfile"]).read_text(encoding="utf-8").splitlines()
    assert 'ENTRYPOINT ["ffe"]' in lines
    assert any("'.[cluster,read]'" in line for line in lines)
    volumes = {one.partition(":")[0] for service in SERVICES.values() for one in service.get("volumes", [])}
    assert volumes == set(COMPOSE["volumes"])


@pytest.mark.slow
def test_the_health_check_of_the_console_tells_whether_it_answers(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        assert checked("console", _8501=str(server.port)) == 0
    finally:
        server.stop()
    assert checked("console", _8501=str(server.port)) != 0


def test_the_health_check_of_the_head_tells_whether_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        assert checked("head", _6379=port) == 0
    assert checked("head", _6379=port) != 0


def test_the_health_check_of_a_worker_looks_for_its_node() -> None:
    """By the name of its process, which the kernel keeps; here that of this very test."""
    own = Path(f"/proc/{os.getpid()}/comm").read_text(encoding="utf-8").strip()
    assert checked("worker", _raylet=own) == 0
    assert checked("worker", _raylet="nothing of it") != 0
