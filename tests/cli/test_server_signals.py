"""Does every signal end the server well: its runs interrupted, what they fetched committed, the process ended by it?"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import children
from tests.cli.test_backfill import environment
from tests.cli.test_signals import heard, pages_done
from tests.processes import until

ROOT = Path(__file__).parents[2]
SERVED = f"""
from contextlib import asynccontextmanager
import streamlit as st
import app as console
from ffe_core.operations.console import shared
from ffe_core.operations.runs.backfill import BackfillRequest

@asynccontextmanager
async def lifespan(app):
    async with console.lifespan(app):
        request = BackfillRequest.of("simulated", ["BTCUSD"], ["1m"], "2023-01-01", "2023-12-31")
        shared().run_service.start(request, "a test")
        yield

app = st.App({str(ROOT / "pages" / "console.py")!r}, lifespan=lifespan)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_runs_end_as_interrupted_with_what_they_fetched(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "data"
    process = serve(tmp_path, folder)
    try:
        until(lambda: pages_done(folder) >= 3, process)
        process.send_signal(number)
        time.sleep(0.01)
        process.send_signal(number)  # its echo
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode == -number, said
    assert "Traceback" not in said
    [(state, records, watermark)] = children.rows(folder, "select state, records, watermark from run_series")
    assert (state, records >= 3 * 5_000, watermark is not None) == ("interrupted", True, True)


def serve(folder: Path, data: Path) -> subprocess.Popen[str]:
    """The real server with a run under way."""
    script = folder / "served.py"
    script.write_text(SERVED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            str(script),
            "--server.port",
            str(port),
            "--server.headless",
            "true",
        ],
        env=environment(data, FFE_SIMULATED__LATENCY_SECONDS="0.3", PYTHONPATH=str(ROOT)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heard,
    )
