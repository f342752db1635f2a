"""Opening of files: every container, bounded, and names that stay in their folder."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from ffe_core.errors import InputError
from ffe_core.files.opening import MB, Opened
from tests.files.making import zipped

TEXT = b"time,open\n1,2\n" * 100


def tarred(members: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zst(content: bytes) -> bytes:
    return pa.compress(content, "zstd", asbytes=True)  # type: ignore[no-any-return]


def contents(path: Path, most: float = 10) -> dict[str, bytes]:
    with Opened(path, most) as opened:
        return {part.member or "": opened.content(part).data or b"" for part in opened.parts()}


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", TEXT), ("a.csv.gz", gzip.compress(TEXT, mtime=0)), ("a.csv.zst", zst(TEXT))],
)
def test_one_stream_is_unpacked(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert contents(tmp_path / name) == {"": TEXT}


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.zip", zipped),
        ("a.tar", lambda members: tarred(members, "w")),
        ("a.tar.gz", lambda members: tarred(members, "w:gz")),
        ("a.tgz", lambda members: tarred(members, "w:gz")),
        ("a.tar.zst", lambda members: zst(tarred(members, "w"))),
    ],
)
def test_members_come_by_name_and_what_is_no_data_is_left_out(name: str, pack: object, tmp_path: Path) -> None:
    members = {"b/2.csv": TEXT, "b/1.csv.gz": gzip.compress(TEXT, mtime=0), "README.txt": b"x", "a.CHECKSUM": b"y"}
    (tmp_path / name).write_bytes(pack(members))  # type: ignore[operator]
    assert contents(tmp_path / name) == {"b/1.csv.gz": TEXT, "b/2.csv": TEXT}


@pytest.mark.parametrize("inside", ["../a.csv", "/a.csv", "b/../../a.csv", "C:\\a.csv", "b\\..\\..\\a.csv"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_leave_the_folder_are_refused(inside: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(zipped({inside: TEXT}) if kind == "zip" else tarred({inside: TEXT}, "w"))
    with pytest.raises(InputError, match="leaves its folder"):
        contents(path)


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.csv")
        info.type, info.linkname = tarfile.SYMTYPE, "other.csv"
        archive.addfile(info)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="link or a device"):
        contents(tmp_path / "a.tar")


def test_archives_within_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"b.zip": zipped({"c.csv": TEXT})}))
    with pytest.raises(InputError, match=r"holds the archive 'b\.zip'"):
        contents(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.csv.gz", gzip.compress),
        ("a.csv.zst", zst),
        ("a.zip", lambda text: zipped({"a.csv": text})),
        ("a.tgz", lambda text: tarred({"a.csv": text}, "w:gz")),
    ],
)
def test_what_unpacks_to_too_much_is_refused(name: str, pack: object, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pack(b"0" * (2 * MB)))  # type: ignore[operator]
    with pytest.raises(InputError, match=r"unpacks to more than 1 MB; set FFE_FILES__MAX_UNPACKED_MB"):
        contents(tmp_path / name, 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(TEXT, mtime=0)[:-20]),
        ("a.csv.zst", zst(TEXT)[:-5]),
        ("a.zip", zipped({"a.csv": TEXT})[:-30]),
        ("b.zip", b"no zip at all"),
        ("a.tar.gz", b"no tar at all"),
    ],
)
def test_what_is_damaged_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}.*get it again"):
        contents(tmp_path / name)


def test_a_member_whose_bytes_are_not_what_its_archive_says_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.csv", TEXT)
    damaged = bytearray(buffer.getvalue())
    damaged[60] ^= 1
    (tmp_path / "a.zip").write_bytes(bytes(damaged))
    with pytest.raises(InputError, match="get it again"):
        contents(tmp_path / "a.zip")


def test_what_is_large_is_read_again_and_not_held(tmp_path: Path) -> None:
    row = b"1,2,3,4,5,6\n"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(row * (40 * MB // len(row)), 1))
    with Opened(tmp_path / "a.csv.gz", 100) as opened:
        content = opened.content(opened.parts()[0])
        assert content.data is None
        assert content.last == b"6\n"
        with content.stream() as stream:
            assert stream.read(12) == row


def test_a_plan_can_be_ended_while_one_large_file_is_read(tmp_path: Path) -> None:
    """Whoever asks for it has no second file to wait for: each megabyte, and each block of a survey, asks again."""
    from ffe_core.files.look import Looker
    from ffe_core.files.plan import Planner, Target
    from ffe_core.files.profile import shipped

    class Ended(Exception):
        pass

    path = tmp_path / "large.csv.gz"
    rows = (f"{1_600_000_000 + 3600 * n},1.0,2.0,0.5,1.5,7\n" for n in range(120_000))
    path.write_bytes(gzip.compress(b"time,open,high,low,close,volume\n" + "".join(rows).encode(), 1))
    for stop_at in (2, 4, 5):
        told: list[int] = []

        def progress(done: int, told: list[int] = told, stop_at: int = stop_at) -> None:
            told.append(done)
            if len(told) == stop_at:
                raise Ended

        planner = Planner(Looker(shipped(), None, {}), Target.of("files:mine/BTCUSD/1h"), 100)
        with pytest.raises(Ended):
            planner.plan([path], progress)
        assert set(told) == {0}
