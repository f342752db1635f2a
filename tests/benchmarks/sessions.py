"""What does a browser say to the server while somebody watches a page? The same, without a browser.

A session opens the page over the websocket, and from then on asks for each part that draws itself anew as often as
the server told it to, in the messages a browser sends. Answers are read and thrown away.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

_PATIENCE_SECONDS = 60
"""How long a busy server is waited for: everything due in one minute may run just then."""


class Sessions:
    """So many people on one page of a server, from `with` to its end, in a thread of their own.

    `redraws` counts what they asked for after the first drawing.
    """

    def __init__(self, base: str, count: int, page: str, query: str = "") -> None:
        self._address = base.replace("http", "ws", 1) + "/_stcore/stream"
        self._count, self._page, self._query = count, page, query
        self.redraws = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sessions")
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(_PATIENCE_SECONDS)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        """All sessions, each with its page drawn for the first time; what went wrong in one is raised here."""
        drawn = [asyncio.Event() for _ in range(self._count)]
        self._tasks = [asyncio.create_task(self._session(event)) for event in drawn]
        while not all(event.is_set() for event in drawn):
            await asyncio.sleep(0.01)
            for task in self._tasks:
                if task.done():
                    task.result()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _session(self, drawn: asyncio.Event) -> None:
        options = {"max_size": None, "proxy": None, "open_timeout": _PATIENCE_SECONDS}
        async with connect(self._address, subprotocols=["streamlit"], **options) as socket:  # type: ignore[arg-type,list-item]
            await self._ask(socket)
            clocks: list[asyncio.Task[None]] = []
            page = ""
            try:
                async for data in socket:
                    message = ForwardMsg.FromString(data)  # type: ignore[arg-type]
                    kind = message.WhichOneof("type")
                    if kind == "new_session" and not message.metadata.run.fragment_ids:
                        for clock in clocks:  # the page as a whole is drawn anew, and says anew what redraws itself
                            clock.cancel()
                        clocks.clear()
                    elif kind == "navigation":
                        page = message.navigation.page_script_hash
                    elif kind == "auto_rerun":
                        told = message.auto_rerun
                        again = self._again(socket, told.interval, told.fragment_id, page)
                        clocks.append(asyncio.create_task(again))
                    elif kind == "script_finished":
                        drawn.set()
            finally:
                for clock in clocks:
                    clock.cancel()

    async def _again(self, socket: ClientConnection, interval: float, fragment: str, page: str) -> None:
        while True:
            await asyncio.sleep(interval)
            self.redraws += 1
            # As from a browser: where a redraw ends in one of the whole page, that is the page of this hash.
            await self._ask(socket, fragment_id=fragment, is_auto_rerun=True, page_script_hash=page)

    async def _ask(self, socket: ClientConnection, **more: Any) -> None:
        state = ClientState(query_string=self._query, page_name="" if more else self._page, **more)
        await socket.send(BackMsg(rerun_script=state).SerializeToString())
