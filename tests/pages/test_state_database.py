"""Does every page, and /healthz, say what is the matter with the state database, and what to do next?"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ffe_core.operations import console as service
from ffe_core.storage.state import database as databases
from ffe_core.storage.state import faults
from tests.cli.test_state_database import TROUBLES
from tests.pages.conftest import Open, words
from tests.storage.state.releases import unpacked

pytestmark = [
    pytest.mark.of_a_state_file("what is the matter with a file"),
    pytest.mark.of_a_lake_folder("of a release"),
]


@pytest.fixture
def release(data_dir: Path) -> Path:
    """The data directory of release 0.1.0."""
    return unpacked(data_dir.parent)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_is_one_sentence_with_its_next_step(release: Path, trouble: str, open_page: Open):
    make, next_step = TROUBLES[trouble]
    make(release)
    at = open_page()
    assert not at.exception
    assert "The state database cannot be used" in words(at)
    assert next_step in words(at)
    assert "Check the settings" not in words(at)
    health = service.shared_health()
    assert (health["status"], health["error_code"]) == ("unavailable", f"database_{trouble}")
    assert next_step in health["last_error"]


def test_one_that_another_program_locks_opens_when_it_is_let_go(
    release: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(faults, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(release / "console.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        at = open_page()
        assert "close what has it open" in words(at)
        assert service.shared_health()["error_code"] == "database_locked"
    at.button[0].click().run()
    assert "cannot be used" not in words(at)
    assert service.shared_health()["status"] == "ok"


def test_one_that_is_gone_beside_a_lake_is_said_on_every_page_until_somebody_has_seen_it(
    release: Path, open_page: Open
):
    (release / "console.db").unlink()
    for page in ("overview", "watermarks"):
        at = open_page(page)
        assert "was not there although the lake holds candles" in words(at)
    assert "was not there" in service.shared_health()["notice"]
    at.button("seen_notice").click().run()
    assert "was not there" not in words(at)
    assert service.shared_health()["notice"] is None
    service.drain_shared()
    assert "was not there" not in words(open_page())
