"""Package tests: the wheel is built, installed beside nothing else of ours, and used from a folder of somebody else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from zipfile import ZipFile

import pytest

from ffe_core.cli import main
from ffe_core.cli.console import app_file, server_command
from ffe_core.errors import InputError
from tests import requirements
from tests.browser.driver import poll

ROOT = Path(__file__).parent.parent
QUIET = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def test_the_requirements_file_is_made_of_the_lists_in_pyproject() -> None:
    assert requirements.TARGET.read_text(encoding="utf-8") == requirements.generated()


def test_what_builds_the_package_is_what_the_tests_install() -> None:
    tree = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(tree["build-system"]["requires"]) <= set(tree["project"]["optional-dependencies"]["test"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *build], env={**os.environ, **QUIET}, check=True, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def ffe(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `ffe` command of an environment with the wheel; its dependencies are those that the tests run on."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    install = ["--python", str(home / "bin" / "python"), "install", "--no-deps", "--quiet", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], env={**os.environ, **QUIET}, check=True, cwd=home)
    [packages] = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n", encoding="utf-8")
    return home / "bin" / "ffe"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of somebody with modules and server settings of the same names as ours."""
    for name in ("ffe_core", "pages", "streamlit"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')\n", encoding="utf-8")
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text(
        '[server]\naddress = "0.0.0.0"\nallowedHosts = ["other.test"]\n[client]\nshowErrorDetails = "full"\n',
        encoding="utf-8",
    )
    return tmp_path


def call(ffe: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ffe, *arguments], cwd=folder, env=clean(), capture_output=True, text=True, timeout=120)


def clean(**more: str) -> dict[str, str]:
    """The environment without settings of ours and without a way to the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FFE_", "PYTHON", "STREAMLIT_"))}
    return {**kept, **more}


@pytest.mark.slow
def test_the_wheel_holds_the_console_whole_and_no_tests(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert {"ffe_console/app.py", "ffe_console/pages/console.py", "ffe_console/.streamlit/config.toml"} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"ffe_core", "ffe_console"}
    for kind in ("ffe_core", "pages"):
        here = {str(path.relative_to(ROOT)) for path in (ROOT / kind).rglob("*") if path.is_file()}
        there = {name.removeprefix("ffe_console/") for name in names}
        assert {name for name in here if "__pycache__" not in name} <= there


@pytest.mark.slow
def test_ffe_does_what_python_m_ffe_core_does(ffe: Path, elsewhere: Path) -> None:
    shown = call(ffe, elsewhere, "--help")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("usage: ffe ")
    assert all(verb in shown.stdout for verb in ("backfill", "console", "coverage", "dlq", "schedules", "watermarks"))
    what = ["--provider", "simulated", "--pairs", "BTCUSD", "--timeframes", "1h"]
    done = call(ffe, elsewhere, "backfill", *what, "--start", "2024-01-01", "--end", "2024-01-02", "--json")
    assert done.returncode == 0, done.stderr
    [result] = json.loads(done.stdout)["results"]
    assert result["expected"] == result["stored"] + result["dead_lettered"] == 48
    assert (elsewhere / "data" / "lake" / "raw_market_data_1h").is_dir()
    assert call(ffe, elsewhere, "backfill").returncode == 2


class Console:
    """`ffe console` on a free port."""

    def __init__(self, ffe: Path, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        # The agent's door lets a page be drawn without a browser.
        environment = clean(STREAMLIT_SERVER_ENABLE_AGENT_API="true")
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [ffe, "console", "--port", str(self.port)], cwd=folder, env=environment, stdout=log, stderr=log
            )
        self._log = folder / "log"
        poll(self._answers, "the console to answer", 60)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text(encoding="utf-8")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def json(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        asked = Request(f"http://127.0.0.1:{self.port}{path}", data, {"content-type": "application/json"})
        with urlopen(asked, timeout=60) as answer:
            return dict(json.load(answer))

    def handshake(self, host: str) -> int:
        """Status of opening the page's websocket under this name."""
        wish = ["GET /_stcore/stream HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket"]
        key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            line.sendall("\r\n".join([*wish, *key]).encode())
            return int(line.recv(64).split()[1])


@pytest.fixture
def console(ffe: Path, elsewhere: Path) -> Iterator[Console]:
    running = Console(ffe, elsewhere)
    yield running
    running.process.send_signal(signal.SIGTERM)
    try:
        assert running.process.wait(30) in (0, -signal.SIGTERM)
    finally:
        running.process.kill()
        running.process.wait()


@pytest.mark.slow
def test_ffe_console_serves_the_console_and_keeps_its_guards(console: Console, elsewhere: Path) -> None:
    health = console.json("/healthz")
    assert (health["status"], health["role"]) == ("ok", "leader")
    assert (elsewhere / "data" / "console.db").is_file()
    drawn = console.json("/_stcore/agent/interact", {"page": "backfill"})
    assert drawn["page"]["title"] == "Backfill"
    assert "Coverage" in [page["title"] for page in drawn["pages"]]
    assert console.handshake(f"127.0.0.1:{console.port}") == 101
    assert console.handshake("other.test") == 421
    assert listening_at(console.port) == {"127.0.0.1"}


def listening_at(port: int) -> set[str]:
    """Addresses on which something listens at this port, from the kernel's own tables."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            address, _, at = local.partition(":")
            if state == "0A" and int(at, 16) == port:
                found.add(socket.inet_ntoa(bytes.fromhex(address)[::-1]) if table == "tcp" else address)
    return found


def test_a_checkout_finds_its_own_console() -> None:
    assert app_file() == ROOT / "app.py"


def test_a_host_for_others_needs_the_name_they_use() -> None:
    with pytest.raises(InputError, match=r"--host 0\.0\.0\.0 .* --allowed-host NAME"):
        server_command("0.0.0.0", 8501, [])
    command = " ".join(server_command("0.0.0.0", 8501, ["console.example.com"]))
    assert command.endswith(
        "--server.address 0.0.0.0 --server.port 8501 --server.allowedHosts localhost"
        " --server.allowedHosts 127.0.0.1 --server.allowedHosts console.example.com"
    )


def test_a_host_for_others_is_served_where_settings_name_its_origin() -> None:
    assert "0.0.0.0" in server_command("0.0.0.0", 8501, [], ["https://console.example.com"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_name(host: str) -> None:
    assert host in server_command(host, 8501, [])


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_cannot_be_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["console", f"--port={port}"]) == 2
    assert f"'{port}' is not a port; give a number from 1 to 65535" in capsys.readouterr().err
