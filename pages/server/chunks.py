"""Chunks of Streamlit's own scripts: which files a part of a page needs, found by what they import."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from streamlit.file_util import get_static_dir

FOLDER = "static/js"
_IMPORTED = re.compile(r"""(?:\bfrom|\bimport)\s*["'`]\./([\w.-]+\.js)["'`]""")


@cache
def index() -> str:
    """The page that Streamlit begins every visit with."""
    return (Path(get_static_dir()) / "index.html").read_text(encoding="utf-8")


def needed(parts: Iterable[str]) -> list[str]:
    """Files below `FOLDER` that these parts (`BidiComponent`) load, without those of every page, each once.

    A part that this release of Streamlit does not know needs none: it is then loaded later, as always.
    """
    folder = Path(get_static_dir()) / FOLDER
    found: dict[str, None] = {}
    waiting = [path.name for part in parts for path in sorted(folder.glob(f"{part}.*.js"))]
    while waiting:
        name = waiting.pop(0)
        if name not in found and name not in index() and (folder / name).is_file():
            found[name] = None
            waiting += _imports(folder / name)
    return list(found)


@cache
def _imports(file: Path) -> list[str]:
    """What a file imports; kept, as most pages share the largest of them."""
    return _IMPORTED.findall(file.read_text(encoding="utf-8"))
