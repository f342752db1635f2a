"""Data files of an object store for Arrow: a small one comes whole with one request, a large one by ranges.

delta-rs brings such a file system too, but holds Python still for every request (seen of deltalake 1.6: a server in the
same process is never answered to), and asks twice for each file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from ffe_core.storage.objects import Objects

WHOLE_BYTES = 4 * 2**20
"""Up to here one request for all costs less than three for the parts."""
_TAIL_BYTES = 64 * 1024
"""Read first of a large file: its footer lies there."""
_AT_ONCE = 16


def filesystem(objects: Objects, sizes: Mapping[str, int]) -> pafs.FileSystem:
    """The files of a table by their paths in it; `sizes` are those that the log tells."""
    return pafs.PyFileSystem(_Handler(objects, sizes))


class _Handler(pafs.FileSystemHandler):  # type: ignore[misc]  # Arrow has no types
    def __init__(self, objects: Objects, sizes: Mapping[str, int]) -> None:
        self._objects, self._sizes = objects, sizes

    def get_type_name(self) -> str:
        return "object-store"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[pafs.FileInfo]:
        with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(paths)))) as askers:
            return list(askers.map(self._info, paths))

    def _info(self, path: str) -> pafs.FileInfo:
        found = self._objects.head(path)
        if found is None:
            return pafs.FileInfo(path, pafs.FileType.NotFound)
        return pafs.FileInfo(path, pafs.FileType.File, size=found.size)

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        raise NotImplementedError

    def create_dir(self, path: str, recursive: bool) -> None:
        """A store has no folders."""

    def delete_dir(self, path: str) -> None:
        raise NotImplementedError

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        raise NotImplementedError

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self._objects.delete([path])

    def move(self, source: str, target: str) -> None:
        raise NotImplementedError

    def copy_file(self, source: str, target: str) -> None:
        raise NotImplementedError

    def open_input_stream(self, path: str) -> Any:
        return self.open_input_file(path)

    def open_input_file(self, path: str) -> Any:
        size = self._sizes.get(path, -1)
        if 0 <= size <= WHOLE_BYTES:
            return pa.BufferReader(self._objects.get(path))
        return pa.PythonFile(io.BufferedReader(_Ranged(self._objects, path, size), 2**20), mode="r")

    def open_output_stream(self, path: str, metadata: object) -> Any:
        raise NotImplementedError

    def open_append_stream(self, path: str, metadata: object) -> Any:
        raise NotImplementedError


class _Ranged(io.RawIOBase):
    """A large object of which what is asked for is read; its tail is kept."""

    def __init__(self, objects: Objects, path: str, size: int) -> None:
        found = None if size > 0 else objects.head(path)
        if size <= 0 and found is None:
            raise FileNotFoundError(2, "there is no such object", path)
        self._objects, self._path = objects, path
        self._size = found.size if found else size
        self._from = max(0, self._size - _TAIL_BYTES)
        self._tail = objects.get_range(path, self._from, self._size)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._size, self._at + len(buffer))
        if end <= self._at:
            return 0
        inside = self._at >= self._from
        content = (
            self._tail[self._at - self._from : end - self._from]
            if inside
            else self._objects.get_range(self._path, self._at, end)
        )
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
