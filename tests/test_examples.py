"""Example tests: each notebook runs from its first cell to its last, and says what it claims."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def code_cells(notebook: str = "read_a_lake") -> list[str]:
    cells = json.loads((EXAMPLES / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


async def executed(cells: list[str]) -> dict[str, Any]:
    """The names that a kernel would hold after these cells, and as `shown` the value of each cell's last line."""
    names: dict[str, Any] = {"shown": []}
    for number, cell in enumerate(cells):
        tree = ast.parse(cell)
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            ask = ast.parse("shown.append(0)").body[0]
            ask.value.args = [last.value]  # type: ignore[attr-defined]
            tree.body[-1] = ask
        ast.fix_missing_locations(tree)
        done = eval(compile(tree, f"cell {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.iscoroutine(done):
            await done
    return names


def test_the_notebook_runs_and_accounts_for_every_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = asyncio.run(executed(code_cells()))
    results, balanced, _, missing, letters, explained, _, watermark = names["shown"]
    assert list(results["status"]) == ["success", "success"]
    assert balanced
    assert results["expected"].iloc[0] == 91 * 24
    assert len(names["bars"]) == 31 * 24 - len(missing)
    assert len(letters) == results["dead_lettered"].sum() > 0
    assert len(missing) > 0
    assert explained
    assert len(names["daily"]) == 31 - len({hour.date() for hour in missing})
    assert str(watermark) == "2024-03-31 23:00:00+00:00"


def test_the_notebook_of_reading_shows_the_same_bars_in_every_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = asyncio.run(executed(code_cells("load_candles")))
    _, tail, incomplete, weeks, correlation, counts, highest, months, answer = names["shown"]
    assert len(tail) == 3
    assert (incomplete["sources"] < incomplete["expected"]).all()
    assert (days := names["days"])["is_complete"].sum() == len(days) - len(incomplete)
    assert weeks["timestamp"].dt.hour().to_list() == [5] * 3
    assert correlation.shape == (3, 3)
    assert counts == (0, names["bars"]["asset_pair"].eq("BTCUSD").sum() + sum(row[1] for row in months[1:]))
    assert highest["high"].max() == names["lazy"].collect()["high"].max()
    assert answer.set_index("asset_pair")["bars"]["BTCUSD"] == counts[1]


@pytest.mark.parametrize("notebook", [path.stem for path in sorted(EXAMPLES.glob("*.ipynb"))])
def test_a_notebook_names_no_place_of_the_machine_it_was_run_on(notebook: str) -> None:
    text = (EXAMPLES / f"{notebook}.ipynb").read_text(encoding="utf-8")
    assert not [place for place in (tempfile.gettempdir(), str(Path.home())) if f"{place}/" in text]


@pytest.fixture(scope="module")
def simulator() -> Any:
    """The simulation of workers as a module."""
    found = importlib.util.spec_from_file_location("simulate_workers", EXAMPLES / "cluster" / "simulate_workers.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["simulate_workers"] = module
    found.loader.exec_module(module)
    return module


def test_simulated_workers_end_sooner_until_one_thing_is_busy_all_the_time(simulator: Any) -> None:
    """What the documentation says of it, with fewer series."""
    one_table, tables, slow, fast = (replace(kind, series=kind.series // 4) for kind in simulator.KINDS)

    def took(kind: Any, workers: int, store_ms: float = 30.0) -> tuple[float, str]:
        made = simulator.Simulation(kind, workers, store_ms / 1_000, 0.001)
        seconds = made.over()
        return seconds, made.limit(seconds)

    (one, _), (many, limit) = took(one_table, 1), took(one_table, 8)
    assert 1.5 < one / many < 2.5
    assert limit.startswith("commits of a table")
    assert took(one_table, 8, 5.0)[0] < many / 2
    assert took(tables, 1)[0] / took(tables, 4)[0] > 3.5
    assert took(slow, 1)[0] / took(slow, 8)[0] < 1.05
    assert took(slow, 8)[1].startswith("the provider's rate")
    assert took(slow, 1)[0] > slow.series * slow.pages / slow.rate  # never sooner than the rate lets
    assert 1.5 < took(fast, 1)[0] / took(fast, 8)[0] < 3.0
