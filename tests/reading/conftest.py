"""A lake of its own for each test, and settings that name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeltaLakeManager:
    """The lake of the data directory that the environment names."""
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    return DeltaLakeManager(tmp_path / "lake")
