"""Do the benchmarks still run? Each in a tiny form; its ratio says nothing at that size, and is not looked at."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from tests.benchmarks import (
    aged,
    chart_month,
    checks,
    coinbase_bytes,
    coverage,
    dead_letter_pages,
    import_files,
    ingest_cpu,
    ingest_memory,
    instruments,
    loop_stall,
    many_series,
    oanda_bytes,
    read,
    request_rate,
    scale,
    small_commits,
    startup,
    tick,
    workers,
)
from tests.benchmarks.harness import Ratio, Verdict, processor

RATIO = re.compile(r"^ratio \d+\.\d{3}   goal (?:<=|>=) [\d.]+   (met|MISSED)", re.MULTILINE)


@pytest.mark.parametrize(
    ("module", "size", "ratios"),
    [
        (ingest_cpu, 600, 2),
        (ingest_memory, 300, 2),
        (import_files, 1, 3),
        (oanda_bytes, 600, 1),
        (coinbase_bytes, 600, 1),
        (loop_stall, 600, 1),
        (request_rate, 3, 1),
        (coverage, 10, 4),
        (scale, 10, 3),
        (many_series, 100, 6),
        (chart_month, 60_000, 2),
        (read, 60_000, 4),
        (aged, 200, 4),
        (dead_letter_pages, 30, 11),
        (startup, 1, 2),
        (instruments, 200, 3),
        (checks, 2, 2),
        pytest.param(workers, 1, 1, marks=pytest.mark.timeout(900)),
        pytest.param(
            small_commits,
            100,
            2,
            marks=pytest.mark.skipif(not tick.has_history(), reason="no history to take 0.1.0 from"),
        ),
        pytest.param(
            tick, 3, 1, marks=pytest.mark.skipif(not tick.has_history(), reason="no history to take 0.1.0 from")
        ),
    ],
    ids=lambda value: value.__name__.rpartition(".")[2] if isinstance(value, ModuleType) else None,
)
def test_a_benchmark_prints_its_ratios_beside_their_goals(
    module: ModuleType, size: int, ratios: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        module.main(["--size", str(size), "--repetitions", "1"])
    printed = capsys.readouterr().out
    assert f"processor: {processor()}" in printed
    checks = RATIO.findall(printed)
    assert len(checks) == ratios
    assert ended.value.code == int("MISSED" in checks or "fault:" in printed)


@pytest.mark.parametrize(
    ("value", "at_least", "good"), [(1.5, False, True), (1.51, False, False), (0.95, True, True), (0.949, True, False)]
)
def test_a_goal_is_met_at_its_very_value(value: float, at_least: bool, good: bool) -> None:
    ratio = Ratio("any", value, 0.95 if at_least else 1.5, at_least)
    assert ratio.is_met is good
    assert Verdict("any", [["head"]], [ratio]).is_good is good


def test_a_fault_spoils_a_good_ratio() -> None:
    assert not Verdict("any", [["head"]], [Ratio("any", 1.0, 1.5)], ["something was refused"]).is_good
