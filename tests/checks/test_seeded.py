"""Does the one command that shows what checks find find it, and raise no alarm for traps?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.seeded import report


@pytest.mark.slow
def test_planted_faults_are_found_and_traps_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(1, tmp_path), capsys.readouterr().out
    assert "200 series" in capsys.readouterr().out
