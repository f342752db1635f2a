"""Does each command import only what it needs? And does the package export the same as ever, imported on first use?"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

import ffe_core
from ffe_core.cli.parser import VERBS, parser
from ffe_core.providers import PROVIDERS
from tests.browser.driver import Server
from tests.cli.test_backfill import backfill, command, environment

HEAVY = {
    "alembic",
    "asyncio",
    "deltalake",
    "exchange_calendars",
    "httpx",
    "numpy",
    "pandas",
    "pyarrow",
    "pyarrow.compute",
    "pydantic",
    "sqlalchemy",
    "streamlit",
}


def imported(folder: Path, *arguments: str) -> set[str]:
    """Which of the heavy libraries a command loads."""
    traced = [*command()[:1], "-X", "importtime", *command(*arguments)[1:]]
    done = subprocess.run(traced, env=environment(folder), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert lines
    return {line.rpartition("|")[2].strip() for line in lines} & HEAVY


@pytest.mark.parametrize(
    "arguments", [["--help"], ["watermarks", "--help"], ["dlq", "--help"], ["console", "--help"]], ids=" ".join
)
def test_help_loads_no_library(tmp_path: Path, arguments: list[str]) -> None:
    assert imported(tmp_path, *arguments) == set()


@pytest.mark.of_a_state_file("what asks a server is loaded too")
def test_a_look_at_the_watermarks_loads_only_what_reads_the_lake(tmp_path: Path) -> None:
    backfill(tmp_path)
    assert imported(tmp_path, "watermarks", "--json") <= {"numpy", "pyarrow", "deltalake", "pydantic"}


def test_a_look_at_dead_letters_loads_neither_the_lake_nor_a_provider(tmp_path: Path) -> None:
    assert not imported(tmp_path, "dlq", "list", "--json") & {"deltalake", "pandas", "httpx", "exchange_calendars"}


@pytest.mark.slow
@pytest.mark.parametrize("page", ["", "runs", "watermarks", "coverage"])
def test_a_server_that_has_drawn_a_page_does_without_pandas(tmp_path: Path, page: str) -> None:
    backfill(tmp_path / "data")
    server = Server(tmp_path / "data", {"PYTHONPROFILEIMPORTTIME": "1"}, "--server.enableAgentApi=true")
    try:
        address = f"{server.start().base}/_stcore/agent/interact"
        body = json.dumps({"page": page} if page else {}).encode()
        with urlopen(Request(address, body, {"Content-Type": "application/json"}), timeout=60) as answer:
            assert b"BTCUSD" in answer.read() or page == "runs"
    finally:
        server.stop()
    lines = [line for line in server.log.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip() for line in lines}
    assert {"streamlit", "pages.widgets"} <= loaded
    assert not {"pandas", "ray", "duckdb", "alembic", "exchange_calendars"} & loaded


def test_the_names_of_the_providers_load_none(tmp_path: Path) -> None:
    code = "import sys; from ffe_core.providers import PROVIDERS; 'oanda' in list(PROVIDERS); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
    assert [kind.name for kind in PROVIDERS.values()] == list(PROVIDERS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_says_of_each_what_its_module_says(verb: str) -> None:
    listed, meant = parser([]).format_help(), parser([verb]).format_help()
    assert listed == meant
    assert VERBS[verb] in listed


def _with_all_below(made: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield made
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _with_all_below(below)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_every_verb_of_a_verb_has_help(verb: str) -> None:
    for below in _with_all_below(parser([verb])):
        assert below.prog in below.format_help()


def test_the_package_loads_nothing_until_it_is_used() -> None:
    code = (
        "import sys, json, ffe_core\n"
        "before = sorted(sys.modules)\n"
        "shown = dir(ffe_core)\n"
        "from ffe_core import *\n"
        "from ffe_core import WatermarkStore as named\n"
        "print(json.dumps([before, shown, named is WatermarkStore, ffe_core.providers.__name__]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, shown, is_same, submodule = json.loads(done.stdout)
    assert not HEAVY & set(before)
    assert set(ffe_core.__all__) <= set(shown)
    assert is_same
    assert submodule == "ffe_core.providers"


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    assert not hasattr(ffe_core, "nothing_of_that_name")
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec("from ffe_core import Nothing")
