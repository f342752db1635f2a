"""Do the benchmarks still run? Each in a tiny form; its ratio says nothing at that size, and is not looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import ModuleType

import pytest

from tests.benchmarks import (
    aged,
    chart_month,
    checks,
    coinbase_bytes,
    console,
    coverage,
    dead_letter_pages,
    import_files,
    ingest_cpu,
    ingest_memory,
    instruments,
    loop_stall,
    many_series,
    oanda_bytes,
    pages,
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
        (coverage, 10, 5),
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
    only = ["--only", "core"] if module is workers else []  # a quota is not everybody's to set
    with pytest.raises(SystemExit) as ended:
        module.main(["--size", str(size), "--repetitions", "1", *only])
    printed = capsys.readouterr().out
    assert f"processor: {processor()}" in printed
    checks = RATIO.findall(printed)
    assert len(checks) == ratios
    assert ended.value.code == int("MISSED" in checks or "fault:" in printed)


def test_parts_are_measured_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        console.main(["--size", "1000", "--repetitions", "1", "--only", "cpu-bound"])
    printed = capsys.readouterr().out
    assert re.findall(r"^(.+ watch)  +(\S+)", printed, re.MULTILINE) == [
        (f"cpu-bound run, {count} watch", number) for count in (0, 10) for number in ("seconds", "redraws")
    ]
    assert len(RATIO.findall(printed)) == 1


def test_a_part_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        console.main(["--only", "memory", "everything"])
    assert ended.value.code == 2
    assert "everything" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parts", "loads", "changes"),
    [
        ([], pages.PAGES, pages.CHANGES),
        (["warm"], [], pages.CHANGES),
        (["cold"], pages.PAGES, []),
        (["/runs", "/settings"], ["/runs", "/settings"], ["runs"]),
        (["cold", "/runs"], ["/runs"], []),
        (["warm", "/settings"], [], []),
    ],
)
def test_pages_are_chosen_by_address_and_by_how_they_are_come_to(
    parts: Sequence[str], loads: Sequence[str], changes: Sequence[str]
) -> None:
    assert pages.chosen(parts) == ([*loads], [*changes])


@pytest.mark.parametrize(
    ("value", "at_least", "good"), [(1.5, False, True), (1.51, False, False), (0.95, True, True), (0.949, True, False)]
)
def test_a_goal_is_met_at_its_very_value(value: float, at_least: bool, good: bool) -> None:
    ratio = Ratio("any", value, 0.95 if at_least else 1.5, at_least)
    assert ratio.is_met is good
    assert Verdict("any", [["head"]], [ratio]).is_good is good


def test_a_fault_spoils_a_good_ratio() -> None:
    assert not Verdict("any", [["head"]], [Ratio("any", 1.0, 1.5)], ["something was refused"]).is_good
