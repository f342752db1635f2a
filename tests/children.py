"""What does a process that a test starts have to be told? Where its state and its lake lie, if on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Variables = Callable[[Path], Mapping[str, str]]
_told: list[Variables] = []


def variables(data_dir: Path) -> dict[str, str]:
    """Of the environment of a process with this data directory; none in a test that has both in files."""
    return {name: value for one in _told for name, value in one(data_dir).items()}


@contextmanager
def told(one: Variables) -> Iterator[None]:
    """Have processes that are started in a block told these too."""
    _told.append(one)
    try:
        yield
    finally:
        _told.remove(one)
