"""Is what is wrong with the settings said before there is work, as text and as JSON?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ffe_core.cli import main
from ffe_core.descriptors import ENOUGH, raise_descriptor_limit
from tests.cli.test_backfill import environment

BACKFILL = "backfill --provider simulated --pairs BTCUSD --timeframes 1h --start 2024-01-01 --end 2024-01-01 --json"


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FFE_CALENDARS__OVERRIDES", '{"oanda/XAUUSD": "XNOP"}'),
        ("FFE_CALENDARS__FX_HOLIDAYS", '["25 December"]'),
        ("FFE_OANDA__REQUESTS_PER_SECOND", "nan"),
        ("FFE_RETRY__ATTEMPTS", "0"),
        ("FFE_WEBHOOK__URL", "ftp://hooks.example"),
        ("FFE_DATA_DIR", "s3://bucket/data"),
        ("FFE_LAKE_URI", "/lakes/[old]"),
        ("FFE_CONSOLE__ORIGINS", '["candles.example"]'),
    ],
)
@pytest.mark.parametrize("command", [BACKFILL, "watermarks --json", "dlq list --json", "schedules list --json"])
def test_a_wrong_setting_ends_every_verb_with_2_before_any_work(
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"{name}: ")
    assert err.count("\n") == 1
    assert json.loads(out)["error"] == err.rstrip("\n")
    assert not data_dir.exists()


def test_a_slip_in_a_name_is_said_on_stderr_and_stops_nothing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FFE_SIMULATED__SEEDS", "7")
    monkeypatch.setenv("FFE_WEBHOOK__URL", "https://hooks.example/x")
    assert main(["watermarks", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert err == (
        "warning: FFE_SIMULATED__SEEDS is no setting and changes nothing; did you mean FFE_SIMULATED__SEED?\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_the_limit_of_open_files_is_raised_as_far_as_the_machine_allows(data_dir: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        assert main(["watermarks", "--json"]) == 0
        wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, hard)
        assert raise_descriptor_limit() == wanted
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_too_few_open_files_are_said_before_there_is_work(tmp_path: Path) -> None:
    import resource

    done = subprocess.run(
        [sys.executable, "-m", "ffe_core", "watermarks", "--json"],
        env=environment(tmp_path / "data"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "storage_failed")
    assert done.stderr == "only 20 files may be open at once; raise the limit to 64 or more with ulimit -n\n"
