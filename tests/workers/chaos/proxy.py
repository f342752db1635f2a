"""A way to the server of the state that can be cut: nothing comes through, and nobody is told."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

_CHUNK = 65_536


class Cable:
    """Passes on what comes to `port`, until it is cut; mended, it passes on what was on the way as well."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._whole.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self.port = 0
        is_up = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(is_up,), name="cable", daemon=True)
        self._thread.start()
        is_up.wait()

    def cut(self) -> None:
        """Let nothing through; what is sent is accepted, as by a switch on the way."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self, *, forget: bool) -> None:
        """Let everything through again; `forget` ends the connections of before, as a firewall does."""
        self._loop.call_soon_threadsafe(self._mend, forget)

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _mend(self, forget: bool) -> None:
        if forget:
            for end in self._ends:
                end.transport.abort()
        self._whole.set()

    def _serve(self, is_up: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._joined, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        is_up.set()
        self._loop.run_forever()
        server.close()
        for task in (tasks := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        self._ends -= {writer, back}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        await self._whole.wait()
        writer.close()
