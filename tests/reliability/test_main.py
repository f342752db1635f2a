"""Does the suite's own command line run? One trial of its cheapest kinds: a name that moved is seen here."""

from __future__ import annotations

import os

import pytest

from tests.reliability import shim
from tests.reliability.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_one_kill_and_one_fault_of_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    if shim.compiler() is None and not os.environ.get("CI"):
        pytest.skip("no C compiler: install gcc to build what makes storage calls fail")
    only = ["--only", "kills", "--only", "faults", "--verb", "schedules pause"]
    status = main([*only, "--kills", "1", "--faults", "1", "--seed", "1"])
    said = capsys.readouterr().out
    assert status == 0, said
    assert "| kills " in said
    assert "| single faults " in said
