"""Test that the console started from a checkout is reachable from this machine only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.driver import Server
from tests.test_package import listening_at


@pytest.mark.slow
def test_streamlit_run_listens_on_the_loopback_alone(tmp_path: Path):
    server = Server(tmp_path / "data").start()
    try:
        assert listening_at(server.port) == {"127.0.0.1"}
    finally:
        server.stop()
