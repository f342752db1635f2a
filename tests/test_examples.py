"""Example tests: each notebook runs from its first cell to its last, and says what it claims."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import tempfile
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
