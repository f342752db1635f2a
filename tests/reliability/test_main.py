"""Does the suite's own command line run? One trial of its cheapest kinds: a name that moved is seen here."""

from __future__ import annotations

import os

import pytest

from tests.reliability import shim
from tests.reliability.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_one_trial_of_each_kind_that_meets_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    if shim.compiler() is None and not os.environ.get("CI"):
        pytest.skip("no C compiler: install gcc to build what makes storage calls fail")
    kinds = ("kills", "faults", "lasting", "signals", "jumps")
    chosen = [word for kind in kinds for word in ("--only", kind, f"--{kind}", "1")]
    status = main([*chosen, "--verb", "schedules pause", "--seed", "1"])
    said = capsys.readouterr().out
    assert status == 0, said
    for line in ("kills", "single faults", "lasting faults", "signals", "clock jumps"):
        assert f"| {line} " in said
