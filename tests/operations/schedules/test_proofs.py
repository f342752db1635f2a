"""Do the two proofs hold in short? A turned year and killed leaders; the long forms are commands of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operations.schedules import leader_kills, schedule_year


@pytest.mark.slow
def test_every_due_fire_of_a_disturbed_year_comes_to_one_end(tmp_path: Path) -> None:
    found = schedule_year.year(tmp_path, 14)
    assert found.faults == []
    assert found.ticks > 4_000
    lost, twice = ({row[column] for row in found.disturbed[1:]} for column in (-1, -2))
    assert lost == twice == {"0"}


def test_a_fault_in_the_record_is_found(tmp_path: Path) -> None:
    world = schedule_year.World(tmp_path, schedule_year.Clock(schedule_year._FIRST.timestamp() - 1))
    planned = schedule_year.plan(world, 1)
    world.run_until(schedule_year._FIRST.timestamp() + 86_400 * 3)
    faults = schedule_year.evaluate(world, planned).faults
    assert len(faults) == 366 - 3
    assert all("is not on record" in fault for fault in faults)


@pytest.mark.of_a_state_file("leaders of one directory; of a server: tests/cli and tests/workers")
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_leaders_die_and_every_fire_comes_to_one_end(tmp_path: Path) -> None:
    check = leader_kills.torment(tmp_path, kills=2)
    assert [fault for fault in check.faults if "take-over" not in fault] == []
    assert sum(check.outcomes.values()) > 0
