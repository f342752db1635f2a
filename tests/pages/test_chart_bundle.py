"""Is the chart's bundle what its sources and the pinned versions make, with the notice that its licence asks for?"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "pages" / "candles" / "component"
BUNDLE = HERE / "chart.js"


def test_the_versions_are_pinned_and_locked_without_a_host() -> None:
    package = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, version in {**package["dependencies"], **package["devDependencies"]}.items():
        assert re.fullmatch(r"[0-9.]+", version)
        assert lock[f"node_modules/{name}"]["version"] == version
    for name, held in lock.items():
        assert "resolved" not in held
        assert not name or held["integrity"].startswith("sha512-")


def test_the_notice_and_the_licence_are_there_and_on_the_page() -> None:
    notice = (HERE / "NOTICE").read_text(encoding="utf-8")
    assert "TradingView Lightweight Charts™" in notice
    assert "Apache License" in (HERE / "LICENSE-lightweight-charts").read_text(encoding="utf-8")
    bundle = BUNDLE.read_text(encoding="utf-8")
    version = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]["lightweight-charts"]
    assert f"Lightweight Charts™ v{version}" in bundle  # the banner of the library
    assert r"TradingView Lightweight Charts\u2122 \xA9 2025 " in bundle  # under the chart
    assert "https://www.tradingview.com/" in bundle
    assert "attributionLogo:!0" in bundle


def test_nothing_is_built_from_markup() -> None:
    for path in (HERE / "src").glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text("utf-8")
        )


def test_the_bundle_asks_no_other_server() -> None:
    for path in (HERE / "src").glob("*.js"):
        hosts = re.findall(r"https?://[^'\"`\s]+", path.read_text(encoding="utf-8"))
        assert set(hosts) <= {"https://www.tradingview.com/"}


def test_days_of_the_axis_are_written_as_everywhere_else() -> None:
    tick = r"\$\{\w+\.getUTCDate\(\)\} \$\{\w+\[\w+\.getUTCMonth\(\)\]\}"
    for path in (HERE / "src" / "text.js", BUNDLE):
        assert len(re.findall(tick, path.read_text(encoding="utf-8"))) == 1  # 13 Nov, as on the coverage


@pytest.mark.slow
def test_the_bundle_is_what_its_sources_make(tmp_path: Path) -> None:
    """Where Node and the locked packages are at hand, in CHART_NODE_MODULES; nothing is fetched."""
    modules = os.environ.get("CHART_NODE_MODULES")
    if modules is None or shutil.which("node") is None:
        pytest.skip("needs Node, and CHART_NODE_MODULES: a node_modules of the locked packages")
    shutil.copytree(HERE / "src", tmp_path / "src")
    shutil.copy(HERE / "package.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(Path(modules).resolve())
    subprocess.run(["npm", "run", "--silent", "build"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "chart.js").read_bytes() == BUNDLE.read_bytes()
