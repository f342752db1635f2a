"""Architecture rules, read from the source: floors, circles, pages apart, kinds instead of sentences, first lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "ffe_core.errors",
        "ffe_core.intervals",
        "ffe_core.redaction",
        "ffe_core.threads",
        "ffe_core.descriptors",
        "ffe_core.counts",
    ),
    (
        "ffe_core.timeframes",
        "ffe_core.times",
        "ffe_core.instruments",
        "ffe_core.database_address",
        "ffe_core.ray_address",
        "ffe_core.locations",
        "ffe_core.sources",
        "ffe_core.file_sources",
    ),
    (
        "ffe_core.storage.files",
        "ffe_core.storage.rows",
        "ffe_core.storage.sqlite_faults",
        "ffe_core.storage.closed_duckdb",
        "ffe_core.storage.store_faults",
        "ffe_core.storage.waiting",
    ),
    ("ffe_core.storage.sqlite", "ffe_core.storage.objects", "ffe_core.storage.locks"),
    ("ffe_core.storage.probe",),
    (
        "ffe_core.candles",
        "ffe_core.calendars",
        "ffe_core.provider_settings",
        "ffe_core.upkeep_settings",
        "ffe_core.check_settings",
        "ffe_core.store_settings",
    ),
    ("ffe_core.columns", "ffe_core.series", "ffe_core.settings"),
    ("ffe_core.validation",),
    ("ffe_core.providers", "ffe_core.files", "ffe_core.storage.leases", "ffe_core.storage.watermark_store"),
    ("ffe_core.storage.state", "ffe_core.storage.dead_letters", "ffe_core.rules"),
    ("ffe_core.storage.lake",),
    ("ffe_core.completeness", "ffe_core.results", "ffe_core.storage.stores", "ffe_core.adjustments"),
    ("ffe_core.ingestion",),
    ("ffe_core.insight",),
    ("ffe_core.reading",),
    ("ffe_core.exports",),
    ("ffe_core.checks",),
    (
        "ffe_core.operations.action_import",
        "ffe_core.operations.adjustments",
        "ffe_core.operations.leader",
        "ffe_core.operations.corrections",
        "ffe_core.operations.instruments",
        "ffe_core.operations.runs",
        "ffe_core.operations.settings",
    ),
    (
        "ffe_core.operations.dead_letters",
        "ffe_core.operations.gaps",
        "ffe_core.operations.imports",
        "ffe_core.operations.schedules",
        "ffe_core.operations.watermarks",
    ),
    (
        "ffe_core.operations.checks",
        "ffe_core.operations.coverage",
        "ffe_core.operations.migration",
        "ffe_core.operations.upkeep",
    ),
    ("ffe_core.operations.console",),
    ("ffe_core.cli",),
    ("ffe_core.__main__", "pages.widgets", "pages.server"),
    ("pages",),
    ("app",),
)
"""The rooms, the lowest floor first: a module imports its own room and those below, nothing beside it or above."""
READS_MESSAGES = {"ffe_core.storage.lake.faults", "ffe_core.storage.lake.refusals", "ffe_core.storage.store_faults"}
"""What reads the words of delta-rs and of stores, as they say these things in no other way; tests ask them for it."""
READS_PAST = "ffe_core.storage.state.migrations.versions."
"""Revisions give sentences that releases of before stored their codes."""
STORED_TEXTS = {"error", "error_text", "next_step", "paused_reason", "problem"}
"""Attributes that hold sentences, of errors and of rows."""
OF_TEXT = {"startswith", "endswith", "partition", "split", "find", "index", "count", "removeprefix", "removesuffix"}
OF_PATTERNS = {"match", "search", "fullmatch", "findall", "finditer", "split", "sub"}
QUESTIONS = {"how", "what", "which", "when", "where", "who", "whose", "why", "do", "does", "is", "are", "can"}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the program by name, parsed."""
    files = [ROOT / "app.py", *(file for top in ("ffe_core", "pages") for file in (ROOT / top).rglob("*.py"))]
    return {_name(file): ast.parse(file.read_text(encoding="utf-8")) for file in sorted(files)}


def _name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    """What a module imports, anywhere in it: modules of ours by their full names, others by what the line says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (part if part in modules() else node.module for part in parts)


def own_imports(name: str) -> set[str]:
    return {target for target in imports(modules()[name]) if target in modules() and target != name}


def room_of(module: str) -> tuple[int, str] | None:
    """The floor and the room of a module; None for the public API and packages without code."""
    found = [
        (len(room), floor, room)
        for floor, rooms in enumerate(FLOORS)
        for room in rooms
        if module == room or module.startswith(f"{room}.")
    ]
    return max(found)[1:] if found else None


@pytest.mark.parametrize("name", [name for name in modules() if room_of(name)])
def test_imports_only_go_down(name: str) -> None:
    floor, room = room_of(name) or (0, "")
    for target in own_imports(name):
        below = room_of(target)
        if below is None:
            assert target not in ("ffe_core",), f"{name} imports the public API, which stands on top"
            continue
        assert below[1] == room or below[0] < floor, f"{name} imports {target}, which is not below it"


def test_every_module_has_a_floor() -> None:
    without = {name for name, tree in modules().items() if room_of(name) is None and own_imports(name)}
    assert without <= {"ffe_core"}


def test_there_is_no_circle_of_modules() -> None:
    graph = {name: {target for target in own_imports(name) if target != "ffe_core"} for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("ffe_core")])
def test_the_core_knows_no_streamlit(name: str) -> None:
    assert not [target for target in imports(modules()[name]) if target.split(".")[0] in ("streamlit", "pages", "app")]


def test_no_page_imports_another_pages_parts() -> None:
    shared = {"widgets", "server"}
    for name in modules():
        if name.startswith("pages.") and (page := name.split(".")[1]) not in shared:
            others = {target.split(".")[1] for target in own_imports(name) if target.startswith("pages.")}
            assert others <= {page, *shared}, name


def test_a_widget_serves_several_pages() -> None:
    users: dict[str, set[str]] = {name: set() for name in modules() if name.startswith("pages.widgets.")}
    for name in modules():
        for target in own_imports(name) & users.keys():
            users[target].add(".".join(name.split(".")[:2]))
    everywhere = {"pages.widgets", "pages.console", "app"}  # pages.console is the frame of every page
    alone = {name for name, rooms in users.items() if len(rooms) < 2 and not rooms & everywhere}
    assert not alone, "it belongs to the one page that uses it"


# -- kinds instead of sentences


def _errors(tree: ast.AST) -> set[str]:
    """Names that hold an exception: caught, or a parameter said to be one."""
    caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    named = {
        node.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arg) and node.annotation and _is_error(ast.unparse(node.annotation))
    }
    return caught | named


def _is_error(annotation: str) -> bool:
    return annotation.removesuffix(" | None").endswith(("Error", "Exception"))


def _is_sentence(node: ast.AST, errors: set[str]) -> bool:
    """Whether an expression is the text of an error, or a sentence stored of one."""
    match node:
        case ast.Call(func=ast.Name(id="str" | "repr"), args=[ast.Name(id=name)]):
            return name in errors
        case ast.Attribute(value=ast.Name(id=name), attr="args"):
            return name in errors
        case ast.Attribute(attr=attr):
            return attr in STORED_TEXTS
        case ast.Subscript(slice=ast.Constant(value=str() as key)):
            return key in STORED_TEXTS
        case ast.Call(func=ast.Attribute(value=value)) | ast.Subscript(value=value):
            return _is_sentence(value, errors)
    return False


def compared_sentences(tree: ast.AST) -> Iterator[int]:
    """The lines of a module that decide by the wording of an error or of a stored sentence."""
    errors = _errors(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others) if not _asks_for_none(node):
                if any(_is_sentence(side, errors) for side in (left, *others)):
                    yield node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=attr), args=args) if attr in OF_PATTERNS:
                if any(_is_sentence(one, errors) for one in args):
                    yield node.lineno
            case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args) if attr in OF_TEXT | OF_PATTERNS:
                if _is_sentence(value, errors) or any(_is_sentence(one, errors) for one in args):
                    yield node.lineno


def _asks_for_none(node: ast.Compare) -> bool:
    return all(isinstance(one, ast.Constant) and one.value is None for one in node.comparators)


@pytest.mark.parametrize(
    "name", sorted(name for name in modules().keys() - READS_MESSAGES if not name.startswith(READS_PAST))
)
def test_nothing_decides_by_the_wording_of_a_message(name: str) -> None:
    assert list(compared_sentences(modules()[name])) == [], "errors and rows have codes: compare those"


@pytest.mark.parametrize(
    "code",
    [
        "try: ...\nexcept E as error:\n  if 'no such table' in str(error): ...",
        "try: ...\nexcept E as error:\n  field, _, text = str(error).partition(': ')",
        "try: ...\nexcept E as error:\n  again = PATTERN.search(str(error))",
        "try: ...\nexcept E as error:\n  again = 'x' == error.args[0]",
        "def is_full(error: OSError): return str(error).endswith('full')",
        "failed = [row for row in rows if row.next_step == CHANGE_REQUEST]",
        "failed = [row for row in rows if row['error'].lower().startswith('http 401')]",
        "again = re.search('HTTP 40[13]', row.error)",
    ],
)
def test_what_decides_by_wording_is_seen(code: str) -> None:
    assert list(compared_sentences(ast.parse(code)))


@pytest.mark.parametrize("code", ["row.next_step_code == CODE", "row.error is not None", "error.code in CREDENTIALS"])
def test_what_decides_by_kind_is_let_pass(code: str) -> None:
    assert not list(compared_sentences(ast.parse(code)))


def test_no_first_line_is_a_question() -> None:
    """It is what people search for: a noun, and what is done with it."""
    asking = {}
    for name, tree in modules().items():
        first = (ast.get_docstring(tree) or "").partition("\n")[0]
        if first.endswith("?") or first.split(" ", 1)[0].strip(",:").lower() in QUESTIONS:
            asking[name] = first
    assert asking == {}


def test_every_module_with_code_says_what_it_is() -> None:
    assert not [name for name, tree in modules().items() if tree.body and ast.get_docstring(tree) is None]
