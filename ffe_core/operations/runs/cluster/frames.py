"""Frames between a console and the process that drives its cluster: pickled tuples with their length before them.

Both ends are of one program and one user on one machine, and nobody else holds the pipe.
"""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

_LENGTH = 8


def frame(*message: Any) -> bytes:
    """A message as bytes of a pipe."""
    body = pickle.dumps(message)
    return len(body).to_bytes(_LENGTH, "big") + body


async def next_frame(reader: asyncio.StreamReader) -> tuple[Any, ...] | None:
    """The next message; None when the other end is gone."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
        message: tuple[Any, ...] = pickle.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError):
        return None
    return message
