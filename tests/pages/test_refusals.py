"""Is what was refused told as a sentence, without names of the code, on every page?"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ffe_core.errors import CredentialsMissing, FFEError, InputError, sentence
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.schedules.service import Draft
from tests.pages.conftest import Open, words

PAGES = Path(__file__).parents[2] / "pages"
TO_PROGRAMS = {"candles/bars.py", "candles/download.py", "widgets/palette/routes.py"}
"""Answers over HTTP: what they name is a parameter that was sent."""


def raw_errors(tree: ast.AST) -> list[int]:
    """The lines that tell an error caught as InputError or FFEError by its own text."""
    lines = []
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None or handler.type is None:
            continue
        if not {"InputError", "FFEError"} & {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}:
            continue
        for node in ast.walk(handler):
            match node:
                case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id=name)]) if name == handler.name:
                    lines.append(node.lineno)
                case ast.FormattedValue(value=ast.Name(id=name)) if name == handler.name:
                    lines.append(node.lineno)
    return lines


def test_no_page_tells_an_error_with_the_name_of_an_argument() -> None:
    raw = [
        f"{name}:{line}"
        for path in sorted(PAGES.rglob("*.py"))
        if (name := str(path.relative_to(PAGES))) not in TO_PROGRAMS
        for line in raw_errors(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not raw, "tell it by `sentence`"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InputError("run 7 is complete", field="run"), "run 7 is complete"),
        (InputError("nothing is stored yet"), "nothing is stored yet"),
        (FFEError("oanda: it does not answer"), "oanda: it does not answer"),
        (CredentialsMissing("missing; set it", field="FFE_OANDA__API_TOKEN"), "FFE_OANDA__API_TOKEN: missing; set it"),
    ],
)
def test_a_sentence_names_no_argument_and_keeps_what_is_to_be_set(error: Exception, told: str) -> None:
    assert sentence(error) == told


def test_a_run_that_has_ended_is_told_by_its_number(backfilled: ConsoleService) -> None:
    with pytest.raises(InputError) as refused:
        backfilled.run_service.cancel(1, "ann")
    assert sentence(refused.value) == "run 1 is failed, there is nothing to cancel"


def test_a_schedule_that_another_window_has_resumed_is_told_by_its_name(
    console: ConsoleService, open_page: Open
) -> None:
    made = console.schedules.create(Draft("mine", "simulated", ("BTCUSD",), ("1h",)), "ann")
    console.schedules.pause(made.id, "maintenance", "ann")
    at = open_page("schedules", schedule=str(made.id))
    console.schedules.resume(made.id, "ben")
    at.button(key="sched_resume").click().run()
    assert "That was refused: mine is not paused" in words(at)


def test_a_list_that_is_gone_is_told_in_the_form_of_its_schedule(console: ConsoleService, open_page: Open) -> None:
    console.watchlists.save("Majors", "simulated", ["BTCUSD"], ["1h"], "ann")
    listed = console.schedules.create(Draft("listed", watchlist="Majors"), "ann")
    console.watchlists.delete("Majors")
    at = open_page("schedules", edit=str(listed.id))
    assert "there is no watchlist named 'Majors'" in words(at)
    assert "watchlist: " not in words(at)
