"""Names of sources to choose from: the providers, and those of imported files that have been stored."""

from __future__ import annotations

from ffe_core.file_sources import is_file_source
from ffe_core.providers import PROVIDERS
from pages.widgets.frame import service


def source_names() -> list[str]:
    """Every provider, then the sources of files by name."""
    known = {series.provider for series in service().watermarks.marks()}
    return [*PROVIDERS, *sorted(filter(is_file_source, known))]
