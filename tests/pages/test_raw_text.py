"""Is no text from outside drawn as markdown: by the source of every page, and by every page full of hostile names?"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from ffe_core.operations import console as service
from ffe_core.operations.runs.service import BackfillRequest
from ffe_core.operations.schedules.service import Draft
from ffe_core.series import Series
from ffe_core.storage.dead_letters.search import Wanted
from pages.widgets.text import plain, plotted
from tests.pages.conftest import PAGES as NAMES
from tests.pages.conftest import Open

PAGES = Path(__file__).parents[2] / "pages"
DRAWN = {
    *("badge", "button", "caption", "checkbox", "date_input", "datetime_input", "download_button", "error"),
    *("expander", "form_submit_button", "header", "info", "link_button", "markdown", "menu_button", "metric"),
    *("multiselect", "number_input", "page_link", "pills", "popover", "progress", "radio", "segmented_control"),
    *("select_slider", "selectbox", "slider", "spinner", "status", "subheader", "success", "tabs", "text_area"),
    *("text_input", "time_input", "title", "toast", "toggle", "warning", "write", "write_stream", "feedback"),
}
"""Elements of Streamlit that take their text, their label or their help for markdown."""
TEXTS = {"label", "body", "help", "text", "caption", "captions", "title", "delta_description", "placeholder"}
OURS = {
    "plain",
    "number",
    "many",
    "several",
    "when",
    "moment_text",
    "span",
    "duration",
    "relative",
    "len",
    "bar",
    "evaluated",
    "as_markdown",
    "_badges",
}
"""Functions whose text holds nothing from outside, or is escaped."""
FIXED = {
    # What callers write out: labels, icons and pages of ours.
    *("label", "meaning", "icon", "page", "words", "name.capitalize()", "kind.upper()", "list(code)"),
    *("card.name", "card.hint", "words_of(view.adjustment)"),
    *("NAMES[name]", "gave", "period", "health", "sentence", "SINCE[st.session_state.restated_since].lower()"),
    # Numbers, and names from lists of ours.
    *("run", "run.id", "later", "running[0].id", "run.parent_id", "record.number", "record.revision", "number_"),
    *("started", "run_id", "side", "done", "total", "planned", "open_", "run.series_total", "count", "size"),
    *("one.day_text", "series.timeframe", "one.series.timeframe", "worst.series.timeframe", "view.size.name", "name"),
}
"""Parameters and names that hold texts of ours, by how they are written."""


def scopes() -> Iterator[tuple[str, ast.AST]]:
    """Every module and function of the pages."""
    for path in sorted(PAGES.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef):
                yield str(path.relative_to(PAGES)), node


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module or function, without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from own_nodes(child)


def drawn_texts(scope: ast.AST) -> Iterator[ast.expr]:
    """What a scope draws as markdown."""
    for node in own_nodes(scope):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DRAWN:
            yield from node.args[:1]
            yield from (keyword.value for keyword in node.keywords if keyword.arg in TEXTS)


def assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """What a scope assigns to its names."""
    found: dict[str, list[ast.expr]] = {}
    for node in own_nodes(scope):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = list(zip(names, values, strict=True))
            case ast.Assign(targets=[target], value=value) | ast.AugAssign(target=target, value=value):
                pairs = [(target, value)]
            case _:
                continue
        for target, value in pairs:
            if isinstance(target, ast.Name):
                found.setdefault(target.id, []).append(value)
    return found


def raw_parts(text: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    """The parts of an expression that may hold somebody else's text; names are followed to what they were given."""
    match text:
        case ast.Constant():
            return
        case _ if ast.unparse(text) in FIXED:
            return
        case ast.BinOp(op=ast.Mult(), left=part):
            parts = [part]
        case ast.Name(id=name) if name.isupper():
            return
        case ast.Name(id=name) if name in known:
            parts = known[name]
            known = {other: values for other, values in known.items() if other != name}
        case ast.Call(func=ast.Name(id=name)) if name in OURS:
            return
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[ast.Name() as several]):
            parts = [several]
        case ast.JoinedStr(values=parts) | ast.List(elts=parts) | ast.BoolOp(values=parts):
            pass
        case ast.ListComp(elt=part) | ast.Subscript(value=ast.Dict(), slice=part):
            parts = [part]
        case ast.FormattedValue(format_spec=spec, value=value):
            parts = [value] if spec is None else []  # a number or a time is written as such
        case ast.IfExp(body=first, orelse=second) | ast.BinOp(left=first, right=second):
            parts = [first, second]
        case _:
            yield ast.unparse(text)
            return
    for part in parts:
        yield from raw_parts(part, known)


def test_every_text_that_is_not_ours_is_escaped_before_it_is_drawn() -> None:
    raw = [
        f"{path}:{text.lineno}: {part}"
        for path, scope in scopes()
        for text in drawn_texts(scope)
        for part in raw_parts(text, assigned(scope))
    ]
    assert not raw, "draw it with `plain`, or name it in FIXED if it is ours"


HOSTILE = ":red[x]![p](//evil.example/p)**b**$a$:smile:"
"""A name as somebody might have it: a colour, a picture, bold, a formula and a face, if it were markdown."""
_PLAIN = {"code", "json", "arrow_data_frame", "text", "plotly_chart", "vega_lite_chart", "text_input", "text_area"}
_PLAIN_FIELDS = {"options", "value", "default", "raw_value", "raw_values", "set_value", "query_string", "id"}
"""What is shown as it is."""


def markdown_of(message: Any) -> Iterator[str]:
    """Every text in what a page sends to the browser that the browser takes for markdown."""
    for field, value in message.ListFields():
        if field.name in _PLAIN | _PLAIN_FIELDS:
            continue
        for one in value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]:
            if isinstance(one, str):
                yield one
            elif hasattr(one, "ListFields"):
                yield from markdown_of(one)


def elements(at: AppTest) -> Iterator[Any]:
    """The elements of a page, as they are sent."""
    waiting: list[Any] = [at.main, at.sidebar]
    while waiting:
        node = waiting.pop()
        waiting.extend(getattr(node, "children", {}).values())
        proto = getattr(node, "proto", None)
        if hasattr(proto, "ListFields") and node.type not in _PLAIN:
            yield proto


def drawn(at: AppTest) -> str:
    return "\n".join(text for proto in elements(at) for text in markdown_of(proto))


@pytest.fixture
def hostile(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[dict[str, str]]]]:
    """A console where every name and every reason is hostile; the addresses at which they are shown."""
    monkeypatch.setenv("FFE_DATA_DIR", str(data_dir.parent / "da*ta* :smile: $x$"))
    monkeypatch.setenv("FFE_SIMULATED__BROKEN_RECORDS", "0.2")
    monkeypatch.setattr("getpass.getuser", lambda: HOSTILE)
    service.drain_shared()
    console = service.shared()
    request = BackfillRequest.of("simulated", ["BTCUSD", "NOPEUSD"], ["1h"], "2024-01-01", "2024-01-02")
    run_id = console.run_service.start(request, HOSTILE, HOSTILE)
    console.run_service.wait(run_id, 60)
    console.watchlists.save(HOSTILE, "simulated", ["BTCUSD"], ["1h"], HOSTILE)
    plan = Draft(HOSTILE, "simulated", ("BTCUSD",), ("1h",))
    schedule = console.schedules.create(plan, HOSTILE)
    console.schedules.pause(schedule.id, HOSTILE, HOSTILE)
    series = Series("BTCUSD", "1h", "simulated")
    console.watermark_verbs.rewind(series, "2024-01-01T12:00:00Z", HOSTILE, HOSTILE)
    batch = console.queue.find(Wanted(), 1, 0).rows[0]
    yield {
        **{page: [{}] for page in NAMES},
        "run": [{"id": str(run_id)}],
        "schedules": [{}, {"schedule": str(schedule.id)}, {"edit": str(schedule.id)}, {"new": "1"}],
        "dead_letters": [{}, {"entry": batch.batch_id}, {"q": HOSTILE}],
        "watermarks": [{"series": series.key}, {"watchlist": HOSTILE}, {"pair": HOSTILE}],
        "candles": [{}, {"pair": HOSTILE}, {"provider": HOSTILE, HOSTILE: HOSTILE}],
        "coverage": [{}, {"pair": "BTCUSD"}, {"watchlist": HOSTILE}],
    }
    service.drain_shared()


def test_a_hostile_name_is_nowhere_drawn_as_markdown(hostile: dict[str, list[dict[str, str]]], open_page: Open) -> None:
    seen = {
        page: "\n".join(drawn(open_page(page, **address)) for address in addresses)
        for page, addresses in hostile.items()
    }
    for page, text in seen.items():
        for part in (":red[x]", "](//", "**b**", "$a$", ":smile:", "*ta*", "$x$"):
            assert part not in text, (page, [line for line in text.splitlines() if part in line])
    assert [page for page in ("run", "schedules", "watermarks") if plain(HOSTILE) not in seen[page]] == []


def test_what_a_verb_came_to_is_told_without_markdown(hostile: object, open_page: Open) -> None:
    at = open_page("backfill")
    at.session_state["_verb_done"] = f"Saved {HOSTILE}."
    assert plain(f"Saved {HOSTILE}.") in drawn(at.run())


def test_a_chart_takes_no_name_for_its_own_kind_of_html() -> None:
    assert plotted("<b>x</b> & \n<a>") == "&lt;b&gt;x&lt;/b&gt; &amp; &lt;a&gt;"
