"""Opening of files: plain, gz and zst streams, and the members of zip and tar archives, with bounded unpacked size.

A member is read whole and checked before a row of it counts, or, where it is large, run
through once first: what is damaged or unpacks to too much is refused before anything of it is stored.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import re
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow as pa

from ffe_core.errors import InputError

MB = 2**20
_SMALL = 32 * MB
"""What is smaller is held in memory while it is read."""
_CHUNK = MB
_ENCRYPTED = 1
"""The bit of a zip member's flags."""
_MOST_MEMBERS = 200_000
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.zst")
_NO_CANDLES = re.compile(
    r"(?i)(\.checksum|\.sha256|\.md5|\.html?|\.pdf|\.log|readme[^/]*|license[^/]*"
    r"|(^|/)DAT_[A-Z]+_[^/]*\.txt"  # HistData's report of gaps
    r"|(^|/)(symbology|metadata|manifest|condition)\.json"  # beside Databento's files
    r"|-(funding_rate|open_interest|trades)\.(feather|parquet|json(\.gz)?)"  # beside freqtrade's candles
    r"|(^|/)(factor_files|map_files)/[^/]*"  # of LEAN
    r"|(^|/)(__MACOSX/.*|\.[^/]*))$"
)
"""Names of what lies beside candles and holds none."""
READABLE = (
    "CSV, TSV and other text in columns, JSON, parquet, feather, DBN and bi5 can be read, also in zip, gz, zst, tar"
)
_KINDS = (
    (b"%PDF", "a PDF document"), (b"\x89PNG", "an image"), (b"\xff\xd8\xff", "an image"), (b"GIF8", "an image"),
    (b"\xd0\xcf\x11\xe0", "a workbook or a document; save its sheet as CSV"), (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a rar archive"), (b"SQLite format 3", "a database"), (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program"), (b"\x1f\x8b", "packed with gz; let its name end with .gz"),
    (b"\x28\xb5\x2f\xfd", "packed with zst; let its name end with .zst"),
)  # fmt: skip
"""How files begin that hold no candles, or not under their name."""
_MOST_CONTROLS = 0.05
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, pa.ArrowException, csv.Error,
    UnicodeError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One stream of candles: a file, or a member of an archive."""

    file: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """What people call it: the file's name, and the member's after an exclamation mark."""
        return self.file.name if self.member is None else f"{self.file.name}!{self.member}"

    @property
    def inner_path(self) -> str:
        """The path by which its form may be known: the member's name below the file's own path, without packing."""
        own = self.file.as_posix() if self.member is None else f"{self.file.as_posix()}!{self.member}"
        return re.sub(r"(?i)\.(gz|zst)$", "", own)


@dataclass(frozen=True, slots=True)
class Content:
    """The unpacked bytes of a part: all in memory where they are few, else read again from the file."""

    opened: Opened
    part: Part
    data: bytes | None
    head: bytes
    """The first megabyte, or what there is."""
    size: int
    last: bytes
    """The last two bytes."""

    @contextmanager
    def stream(self) -> Iterator[IO[bytes]]:
        """The bytes from their beginning."""
        if self.data is not None:
            yield io.BytesIO(self.data)
            return
        with refused(self.part.file), self.opened.stream(self.part) as stream:
            yield stream


def holds_candles(path: Path | str) -> bool:
    """Whether a file or member may hold candles, as far as its name tells."""
    return not _NO_CANDLES.search(path if isinstance(path, str) else path.as_posix())


def check_text(content: Content) -> None:
    """InputError, saying what it is instead, for content that is no text, whatever its name says."""
    head = content.head[:4096]
    kind = next((words for begin, words in _KINDS if head.startswith(begin)), "")
    if not kind and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1a" for byte in head)
        kind = "no text, whatever its name says" if controls > _MOST_CONTROLS * len(head) else ""
    if kind:
        raise InputError(f"{content.part.name} is {kind}; {READABLE}", field="file")


def is_archive(path: Path) -> bool:
    """Whether a file holds members."""
    return path.name.lower().endswith(_ARCHIVES)


class Opened:
    """A file whose parts are read; use it in a `with`. InputError, naming the file, for one that cannot be read."""

    def __init__(
        self, path: Path, most_mb: float, data: bytes | None = None, tick: Callable[[], object] = lambda: None
    ) -> None:
        """`data` are the bytes of the file, where they are held already; `tick` is called often while it is read, and
        may end that by raising."""
        self.path, self._data, self.tick = path, data, tick
        self._most, self._spent = int(most_mb * MB), 0
        self._archive: zipfile.ZipFile | tarfile.TarFile | None = None
        self._open = ExitStack()

    def __enter__(self) -> Opened:
        if is_archive(self.path):
            with self._open as open_until_known, refused(self.path):
                self._archive = self._opened()
                open_until_known.push(self._archive)
                self._open = open_until_known.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def parts(self) -> list[Part]:
        """The parts that may hold candles, by name. InputError if a name leaves the folder or there are too many."""
        if self._archive is None:
            return [Part(self.path)]
        with refused(self.path):
            names = self._names(self._archive)
        if len(names) > _MOST_MEMBERS:
            raise InputError(
                f"{self.path.name} has {len(names):,} members; unpack it and import its folder", field="file"
            )
        for name in names:
            _check_member(self.path, name)
        return [Part(self.path, name) for name in sorted(names) if holds_candles(name)]

    def content(self, part: Part) -> Content:
        """What a part holds, read to its end: what is damaged or too much is known before anything of it counts."""
        if (plain := self._at_once(part)) is not None:
            self._spend(len(plain))
            return Content(self, part, plain, plain[:_CHUNK], len(plain), plain[-2:])
        held: list[bytes] = []
        size, head, last = 0, b"", b""
        with refused(self.path), self.stream(part) as stream:
            while piece := stream.read(_CHUNK):
                self.tick()
                size, head, last = size + len(piece), head or piece, piece[-2:]
                self._spend(len(piece))
                if size <= _SMALL:
                    held.append(piece)
                else:
                    held.clear()
        return Content(self, part, b"".join(held) if size <= _SMALL else None, head, size, last)

    def _at_once(self, part: Part) -> bytes | None:
        """A small member of a zip that is held, in a quarter less time; None for what has to be looked at closer."""
        packing = (part.member or "").lower().endswith((".gz", ".zst", ".bi5"))
        if self._data is None or not isinstance(self._archive, zipfile.ZipFile) or packing:
            return None
        return _inflated(self._data, self._archive.getinfo(part.member or ""))

    @contextmanager
    def stream(self, part: Part) -> Iterator[IO[bytes]]:
        """The unpacked stream of a part, from its beginning."""
        raw = self._raw(part)
        try:
            yield _unpacked(raw, part.member or part.file.name)
        finally:
            raw.close()

    def _raw(self, part: Part) -> IO[bytes]:
        if isinstance(self._archive, zipfile.ZipFile):
            assert part.member is not None
            return self._archive.open(part.member)
        if self._archive is not None:
            assert part.member is not None
            found = self._archive.extractfile(part.member)
            if found is None:
                raise InputError(f"{part.name} is no plain file", field="file")
            return found
        return self.path.open("rb") if self._data is None else io.BufferedReader(io.BytesIO(self._data))

    def _opened(self) -> zipfile.ZipFile | tarfile.TarFile:
        lower = self.path.name.lower()
        if lower.endswith(".zip"):
            return zipfile.ZipFile(self.path if self._data is None else io.BytesIO(self._data))
        if lower.endswith(".tar"):
            return tarfile.open(self.path, "r:")
        return tarfile.open(fileobj=self._laid_out(), mode="r:")

    def _laid_out(self) -> IO[bytes]:
        """A packed tar in a temporary file: its members are read more than once, and it cannot be gone back in."""
        file: IO[bytes] = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        with self.path.open("rb") as raw, _unpacked(raw, self._packing) as stream:
            while piece := stream.read(_CHUNK):
                self.tick()
                self._spend(len(piece))
                file.write(piece)
        self._spent = 0
        file.seek(0)
        return file

    @property
    def _packing(self) -> str:
        return "x.zst" if self.path.name.lower().endswith(".zst") else "x.gz"

    def _names(self, archive: zipfile.ZipFile | tarfile.TarFile) -> list[str]:
        if isinstance(archive, zipfile.ZipFile):
            infos = [info for info in archive.infolist() if not info.is_dir()]
            self.check_size(sum(info.file_size for info in infos))
            return [info.filename for info in infos]
        members = [member for member in archive.getmembers() if not member.isdir()]
        if links := [member.name for member in members if not member.isreg()]:
            raise InputError(
                f"{self.path.name}: {links[0][:80]!r} is a link or a device; such archives are refused", field="file"
            )
        self.check_size(sum(member.size for member in members))
        return [member.name for member in members]

    def _spend(self, size: int) -> None:
        self._spent += size
        self.check_size(self._spent)

    def check_size(self, size: int) -> None:
        """InputError for more bytes than the file may unpack to."""
        if size > self._most:
            raise InputError(
                f"{self.path.name} unpacks to more than {self._most // MB:,} MB; set FFE_FILES__MAX_UNPACKED_MB higher"
                " if that is right",
                field="file",
            )


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Say what cannot be read, by the file's name."""
    try:
        yield
    except RuntimeError as error:  # what zipfile says of a member with a password
        raise InputError(
            f"{path.name} cannot be unpacked: {error}; unpack it and import its files", field="file"
        ) from error
    except _BROKEN as error:
        raise InputError(f"{path.name} {_fault(error)}", field="file") from error


def _fault(error: Exception) -> str:
    """What is wrong with a file, without the words of the library that found it."""
    if isinstance(error, UnicodeError):
        return "is no text in UTF-8, UTF-16 or Windows-1252; save it as UTF-8"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, csv.Error):
        return "cannot be read to its end: where a cell of it begins or ends cannot be told; get it again"
    if isinstance(error, EOFError):
        return "cannot be read to its end: it breaks off; get it again"
    return "cannot be read to its end: it is damaged, or of another kind than its name says; get it again"


def _inflated(data: bytes, info: zipfile.ZipInfo) -> bytes | None:
    """A deflated member, where it is what the archive's directory says: its name, its size and its checksum."""
    at = info.header_offset
    if info.compress_type != zipfile.ZIP_DEFLATED or info.flag_bits & _ENCRYPTED or info.file_size > _SMALL:
        return None
    begin = at + 30
    if data[at : at + 4] != b"PK\x03\x04" or len(data) < begin:
        return None
    name_size, extra_size = struct.unpack_from("<HH", data, at + 26)
    if data[begin : begin + name_size] != info.orig_filename.encode("utf-8"):
        return None
    begin += name_size + extra_size
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = unpacking.decompress(memoryview(data)[begin : begin + info.compress_size], info.file_size + 1)
    except zlib.error:
        return None
    is_whole = unpacking.eof and len(found) == info.file_size and zlib.crc32(found) == info.CRC
    return found if is_whole else None


def _unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    lower = name.lower()
    if lower.endswith(".gz"):
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if lower.endswith(".zst"):
        return pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")  # type: ignore[no-any-return]
    if lower.endswith(".bi5"):
        return io.BytesIO() if not stream.peek(1) else lzma.LZMAFile(stream)  # type: ignore[attr-defined]
    return stream


def _check_member(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or re.match(r"[A-Za-z]:", parts[0]) or "\0" in name:
        raise InputError(
            f"{path.name} holds {name[:80]!r}, which leaves its folder; such archives are refused", field="file"
        )
    if name.lower().endswith(_ARCHIVES):
        raise InputError(f"{path.name} holds the archive {name[:80]!r}; unpack it and import its folder", field="file")
