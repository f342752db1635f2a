"""Names of sources to choose from: the providers, and those of imported files that have been stored."""

from __future__ import annotations

from ffe_core.file_sources import is_file_source
from ffe_core.providers import PROVIDERS
from pages.widgets.frame import service


def source_names() -> list[str]:
    """Every provider, then the sources of files by name."""
    series = (entry.series for entry in service().watermarks.entries())
    return [*PROVIDERS, *sorted({one.provider for one in series if is_file_source(one.provider)})]
