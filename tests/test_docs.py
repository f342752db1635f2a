"""Documentation tests: every error, code, provider and decision has its place, and every link leads somewhere."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import ffe_core
from ffe_core.errors import DatabaseError, FFEError, InputError
from ffe_core.operations.runs.outcome import NEXT_STEPS
from ffe_core.providers import PROVIDERS
from ffe_core.storage.sqlite_faults import Fault
from ffe_core.storage.state.acknowledged_gaps import REASONS as GAP_REASONS
from ffe_core.storage.state.faults import CODE as DATABASE
from ffe_core.storage.state.faults import ENCODING, NEWER, NO_BACKUP, OTHER_PLACE, UNFINISHED, UPGRADE_FAILED
from ffe_core.storage.state.runs import PROCESS_ENDED, STATES
from ffe_core.validation import REASONS
from tests.benchmarks import __doc__ as BENCHMARKS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ERRORS = (DOCS / "errors.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_PLACEHOLDER = re.compile("yours|NAME")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def row_of(code: str) -> list[str]:
    """The cells of the table row that begins with this code; empty if there is none."""
    found = re.search(rf"^\| `{re.escape(code)}` \|(.*)\|$", ERRORS, re.MULTILINE)
    return [cell.strip() for cell in found[1].split(" | ")] if found else []


def error_kinds() -> list[type]:
    """All public errors of the package, by name."""
    for module in pkgutil.walk_packages(ffe_core.__path__, "ffe_core."):
        if not {"__main__", "migrations"} & set(module.name.split(".")):  # those do something when they are imported
            importlib.import_module(module.name)
    kinds: set[type] = set()
    new: set[type] = {FFEError, InputError}
    while new:
        kinds |= new
        new = {below for kind in new for below in kind.__subclasses__()} - kinds
    ours = [kind for kind in kinds if kind.__module__.startswith("ffe_core.") and not kind.__name__.startswith("_")]
    return sorted(ours, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", error_kinds(), ids=lambda kind: kind.__name__)
def test_every_kind_of_error_has_its_code_what_happened_and_what_to_do(kind: Any) -> None:
    code = f"{DATABASE}*" if kind is DatabaseError else kind.code
    row = row_of(kind.__name__)
    assert row[:1] == [f"`{code}`"], f"docs/errors.md: a row for {kind.__name__} with its code"
    assert len(row) == 3
    assert all(row)


@pytest.mark.parametrize(
    "code",
    [*(DATABASE + fault for fault in Fault), ENCODING, NEWER, NO_BACKUP, OTHER_PLACE, UNFINISHED, UPGRADE_FAILED],
)
def test_every_code_of_the_database_says_what_to_do(code: str) -> None:
    assert len(row_of(code)) == 2


@pytest.mark.parametrize("code", list(REASONS))
def test_every_reason_code_has_its_rule_and_a_next_step(code: str) -> None:
    cells = row_of(code)
    assert len(cells) == 2, f"docs/errors.md: a row for {code}"
    assert cells[0].rstrip(".").lower() == REASONS[code].lower(), "the rule as validation.py words it"


@pytest.mark.parametrize("word", [*STATES, *GAP_REASONS])
def test_every_state_and_every_reason_for_a_gap_is_explained(word: str) -> None:
    assert row_of(word)


@pytest.mark.parametrize("code", [*NEXT_STEPS, PROCESS_ENDED])
def test_every_code_that_a_run_keeps_is_explained(code: str) -> None:
    assert row_of(code)


def test_a_code_that_the_page_lacks_would_be_found() -> None:
    assert not row_of("no_such_code")


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_every_provider_has_a_page_that_cites_its_facts(name: str) -> None:
    page = DOCS / "providers" / f"{name}.md"
    assert page.exists(), f"docs/providers/{name}.md: the facts of the wire, as in coinbase.md"
    assert f"({name}.md)" in (DOCS / "providers" / "README.md").read_text(encoding="utf-8"), "a line in its README.md"
    assert PROVIDERS[name].is_mock or page.read_text(encoding="utf-8").count("https://") >= 5, "a source for each fact"


def test_every_decision_is_in_the_list() -> None:
    listed = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    pages = sorted(DOCS.glob("decisions/[0-9]*.md"))
    assert pages
    for number, page in enumerate(pages, 1):
        assert page.name.startswith(f"{number:04}-")
        assert f"]({page.name})" in listed
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Decision", "Why", "What follows"]


def broken_links(page: Path) -> list[str]:
    """Links of a Markdown file to files or headings that are not there."""
    broken = []
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    return broken


def anchors(page: Path) -> set[str]:
    """What headings of a Markdown file are called in links, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    assert not broken_links(page)


def test_a_broken_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One head\n[a](gone.md) [b](#one-head) [c](#two) [d](page.md#one-head) [e](https://x.test)\n")
    assert broken_links(page) == ["gone.md", "#two"]


def named_files(text: str) -> list[str]:
    """Files and modules of this project that a text names; placeholders are left out."""
    files = re.findall(r"`((?:ffe_core|pages|tests|docs|examples)/[\w./]+)`", text)
    modules = re.findall(r"-m (tests(?:\.\w+)+)", text)
    return [
        name for name in [*files, *(module.replace(".", "/") for module in modules)] if not _PLACEHOLDER.search(name)
    ]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "Makefile"], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_and_module_that_a_page_names_is_there(page: Path) -> None:
    named = named_files(page.read_text(encoding="utf-8"))
    there = [name for name in named if (ROOT / name).exists() or (ROOT / f"{name}.py").exists()]
    assert named == there


def test_files_and_modules_are_found_in_a_text() -> None:
    assert named_files("`ffe_core/errors.py`, `tests/yours.py`, `python -m tests.requirements`") == [
        "ffe_core/errors.py",
        "tests/requirements",
    ]


def measured() -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return readme.partition("\n## Measured\n")[2].partition("\n## ")[0]


def test_figures_name_the_processor_they_were_measured_on() -> None:
    assert re.search(r"^Processor: \S.{10,}", measured(), re.MULTILINE)


def test_the_benchmarks_of_the_readme_the_task_file_and_the_folder_are_the_same() -> None:
    files = ROOT.glob("tests/benchmarks/*.py")
    commands = {path.stem for path in files if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")}
    assert {name for line in measured().splitlines() for name in re.findall(r"\| `(\w+)` \|", line)} == commands
    loop = re.search(r"for name in (.*?); do", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert loop
    assert set(loop[1].split()) == commands
    assert commands == set(re.findall(r"^python -m tests\.benchmarks\.(\w+) ", BENCHMARKS or "", re.MULTILINE))
