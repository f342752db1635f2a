"""Mutation check: take each guard away, one at a time, and see a normal test fail.

    python -m tests.reliability.mutations [--only NAME ...]

A guard is a piece of the product's text, what stands there instead once it is taken away, and the test that must fail
then. It is tried on a copy of the tree; a guard whose text is not found fails the check, as does a test that passes. A
test is first run on the whole copy, so that it fails for want of the guard and for nothing else.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.pyc", "data", ".mypy_cache", ".ruff_cache")
_BOUND = 600


@dataclass(frozen=True)
class Guard:
    """A guard by name: the file, its text there, what replaces it, and the test that must fail."""

    name: str
    file: str
    text: str
    without: str
    test: str


GUARDS = (
    Guard(
        "rename",
        "ffe_core/storage/files.py",
        """        with temporary.open("w", encoding="utf-8") as file:""",
        """        temporary = path
        with temporary.open("w", encoding="utf-8") as file:""",
        "tests/storage/test_files.py",
    ),
    Guard(
        "fsync",
        "ffe_core/storage/files.py",
        "            os.fsync(file.fileno())\n",
        "",
        "tests/reliability/test_durable.py",
    ),
)
"""Every guard. A new one gets a line here together with its test."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the guards; 1 if one can be taken away unnoticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.mutations", description="Is each guard tested?")
    parser.add_argument("--only", action="append", choices=[guard.name for guard in GUARDS], metavar="NAME")
    only = parser.parse_args(arguments).only
    chosen = [guard for guard in GUARDS if only is None or guard.name in only]
    with tempfile.TemporaryDirectory(prefix="ffe-mutations-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=_LEFT_OUT, symlinks=True)
        found = [_say(guard, copy) for guard in chosen]
    sys.stdout.write(f"{sum(found)} of {len(found)} guards are tested\n")
    return int(not all(found))


def _say(guard: Guard, copy: Path) -> bool:
    began = time.monotonic()
    verdict = tried(guard, copy)
    sys.stdout.write(f"{guard.name:20} {verdict:60} {time.monotonic() - began:4.0f} s  {guard.test}\n")
    sys.stdout.flush()
    return verdict == _GOOD


_GOOD = "taken away, its test fails"


def tried(guard: Guard, copy: Path) -> str:
    """What came of taking one guard away in a copy of the tree, which is whole again afterwards."""
    file = copy / guard.file
    whole = file.read_text(encoding="utf-8") if file.exists() else ""
    if whole.count(guard.text) != 1:
        return f"its text stands {whole.count(guard.text)} times in {guard.file}, not once"
    if (before := _tested(guard, copy)) != 0:
        return f"its test ends with {before} on the whole tree"
    file.write_text(whole.replace(guard.text, guard.without), encoding="utf-8")
    try:
        after = _tested(guard, copy)
    finally:
        file.write_text(whole, encoding="utf-8")
    return {1: _GOOD, 0: "TAKEN AWAY UNNOTICED"}.get(after, f"its test could not be run: pytest ended with {after}")


def _tested(guard: Guard, copy: Path) -> int:
    """The exit status of pytest: 0 all passed, 1 some failed, others were not tests at all."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", guard.test]
    done = subprocess.run(command, cwd=copy, capture_output=True, timeout=_BOUND, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
