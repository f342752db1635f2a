"""Requirements file generator: `python -m tests.requirements` makes requirements.txt of the lists in pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "requirements.txt"


def generated() -> str:
    """The text of requirements.txt: what the console runs on, then what the tests run on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return "\n".join(
        [
            "# Made by `python -m tests.requirements` from pyproject.toml: edit it there.",
            "# What the console and the core run on",
            *project["dependencies"],
            "# What reading in polars and DuckDB runs on",
            *project["optional-dependencies"]["read"],
            "# What the tests run on",
            *project["optional-dependencies"]["test"],
            "",
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(generated(), encoding="utf-8")
