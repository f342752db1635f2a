"""Which tests of the server start it? Those that use it as a process of its own, which makes them slow."""

from __future__ import annotations

from pathlib import Path

import pytest

_PROCESSES = {"server", "proxied"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and _PROCESSES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
