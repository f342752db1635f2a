"""Shim: a small C library between libc and whoever stores fails a process's n-th storage call."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("shim.c")

COUNT, KILL, KILL_AFTER, FAIL, FAIL_FROM, SHORT, TORN, SIGNAL, JUMP = range(9)
"""What happens at the call, as shim.c numbers it.

Nothing; death before it; death in the middle of a write, after anything else; an error; that error from then on;
half a write that says so; half a write and then an error; a signal; a wall clock that jumps.
"""


@dataclass(frozen=True)
class Arm:
    """Act at the `at`-th call (from 0; -1 never) on a path that begins with `under`; calls are listed in `log`."""

    under: str
    at: int = -1
    action: int = COUNT
    code: int = 0
    """The errno of an error, the number of a signal, or the seconds of a jump."""
    log: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As it goes over a socket."""
        return asdict(self)


@dataclass(frozen=True)
class Call:
    """One storage call of a trace."""

    number: int
    name: str
    path: str

    @property
    def within(self) -> str:
        """The path below the data directory."""
        return self.path.partition("/data/")[2]

    def __str__(self) -> str:
        return f"call {self.number}, {self.name} {self.within}"


def compiler() -> str | None:
    """The C compiler there is, or None."""
    return shutil.which("cc") or shutil.which("gcc")


def library() -> Path:
    """The built library, built now if its source changed. RuntimeError if there is no C compiler."""
    text = SOURCE.read_bytes()
    target = Path(tempfile.gettempdir()) / f"ffe-shim-{os.getuid()}-{hashlib.sha256(text).hexdigest()[:12]}.so"
    if not target.exists():
        cc = compiler()
        if cc is None:
            raise RuntimeError("the reliability suite needs a C compiler: install gcc (Debian: apt-get install gcc)")
        made = target.with_suffix(f".{os.getpid()}")
        subprocess.run([cc, "-w", "-O1", "-shared", "-fPIC", "-o", made, SOURCE, "-ldl"], check=True)
        made.replace(target)
    return target


def arm(how: Arm | None, clock: int = 0) -> None:
    """In a process under the library: from now on fail as told, and show a wall clock so many seconds ahead."""
    loaded = ctypes.CDLL(str(library()))
    loaded.ffe_clock.argtypes = [ctypes.c_long]
    loaded.ffe_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
    loaded.ffe_clock(clock)
    if how is not None:
        loaded.ffe_arm(how.under.encode(), how.at, how.action, how.code, how.log.encode())


def trace(log: Path) -> list[Call]:
    """The calls that a trial listed."""
    lines = (line.split(" ", 2) for line in log.read_text(errors="replace").splitlines())
    return [Call(int(number), name, path) for number, name, path in lines]
