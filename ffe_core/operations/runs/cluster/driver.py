"""Driver of a cluster: a child process of a console that hands portions of runs to machines and tells what they say.

It ends with the console, as its input does, and its actors end with it; or when the cluster's head is gone.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from ffe_core.operations.runs.cluster.frames import frame, next_frame
from ffe_core.operations.runs.cluster.node import ConsoleNode
from ffe_core.operations.runs.cluster.portions import Portions
from ffe_core.redaction import log_redacted, register


def main() -> None:
    """Drive the cluster at the address in `sys.argv`, from a node in the folder there."""
    register(os.environ.get("RAY_AUTH_TOKEN", ""))
    log_redacted()
    out = os.dup(1)
    os.dup2(2, 1)  # nothing that Ray prints comes between two frames
    address = sys.argv[1]
    node = ConsoleNode(address, Path(sys.argv[2]))
    status = asyncio.run(_drive(address, node.join(), out))
    node.leave()
    os._exit(status)  # no thread of Ray's keeps it


async def _drive(address: str, failure: str | None, out: int) -> int:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(out, "wb", buffering=0))

    def tell(*message: Any) -> None:
        transport.write(frame(*message))

    if failure is not None:
        tell("failed", failure)
        return await _flushed(transport, 1)
    portions = Portions(address, tell)
    looking = asyncio.create_task(portions.keep_looking())
    while (message := await next_frame(reader)) is not None:
        verb, *words = message
        portions.start(*words) if verb == "start" else portions.cancel(*words)
    looking.cancel()
    await portions.leave()
    return await _flushed(transport, 0)


async def _flushed(transport: asyncio.WriteTransport, status: int) -> int:
    while transport.get_write_buffer_size():
        await asyncio.sleep(0.01)
    return status


if __name__ == "__main__":
    main()
