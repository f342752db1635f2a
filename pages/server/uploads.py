"""Uploads as Streamlit holds them: in memory, until a page has written them down."""

from __future__ import annotations

from streamlit.runtime import Runtime, exists
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from ffe_core.operations.imports.uploads import MOST_MB

MOST_HELD = 4 * MOST_MB * 2**20
"""Bytes in memory, of all browsers together."""


def held_bytes() -> int:
    """How much there is in memory now."""
    manager = Runtime.instance().uploaded_file_mgr if exists() else None
    if not isinstance(manager, MemoryUploadedFileManager):
        return 0
    return sum(one.byte_length for stats in manager.get_stats().values() for one in stats)


def forget(file: UploadedFile) -> None:
    """Free the memory of a file; Streamlit would hold it as long as the browser's tab is open."""
    context = get_script_run_ctx()
    if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
