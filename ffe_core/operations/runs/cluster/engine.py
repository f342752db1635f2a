"""Engine of a cluster: hands runs to a child process, which drives the machines, and hears what becomes of them.

Ray ends the process of a driver a minute after its cluster's head is gone, without asking: so that is a child's, and
the console goes on.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from ffe_core.errors import FFEError, WorkersLost
from ffe_core.operations.runs.cluster.frames import frame, next_frame
from ffe_core.operations.runs.cluster.needs import check_state, ray_environment
from ffe_core.operations.runs.cluster.node import new_folder
from ffe_core.operations.runs.engine import News
from ffe_core.operations.runs.work import Work
from ffe_core.settings import Settings
from ffe_core.storage.files import make_folder

log = logging.getLogger(__name__)
_END_SECONDS = 90
"""How long what runs may take to come to its end when the engine stops: the commit in flight of a slow store."""
_LEAVE_SECONDS = 10
_DRIVER = "ffe_core.operations.runs.cluster.driver"


class RayEngine:
    """Works on the machines that have joined the cluster; the child is started with the first run."""

    def __init__(self, settings: Settings) -> None:
        """InputError if the state is a file or there is no token; PackageMissing without Ray."""
        check_state(settings)
        self._environment = ray_environment()
        self._settings, self._address = settings, settings.ray_address
        self._watched: dict[str, asyncio.Queue[News | FFEError | None]] = {}
        self._unsent: list[bytes] = []
        self._process: Process | None = None
        self._driving: asyncio.Task[None] | None = None

    def start(self, work: Work) -> None:
        """Begin a piece of work."""
        self._watched[work.key] = asyncio.Queue()
        self._tell(frame("start", work, self._settings.lease_wait_seconds))

    async def watch(self, key: str) -> AsyncIterator[News]:
        """What becomes of it, to its end."""
        queue = self._watched[key]
        try:
            while True:
                told = [await queue.get()]
                told += [queue.get_nowait() for _ in range(queue.qsize())]
                news, ends = News(), [one for one in told if not isinstance(one, News)]
                for one in told:
                    if isinstance(one, News):
                        news.add(one)  # what many machines tell while the last is written is written at once
                if news:
                    yield news
                if ends and ends[0] is not None:
                    raise ends[0]
                if ends:
                    return
        finally:
            del self._watched[key]

    def cancel(self, key: str) -> None:
        """Have it end within one request."""
        if key in self._watched:
            self._tell(frame("cancel", key))

    async def stop(self) -> None:
        """Cancel all, let it come to its end, and end the child; its actors end with it."""
        for key in self._watched:
            self.cancel(key)
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                while self._watched and self._driving is not None and not self._driving.done():
                    await asyncio.sleep(0.05)
        if self._driving is not None:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await asyncio.shield(self._driving)
            if self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.kill()
            await self._driving

    def _tell(self, message: bytes) -> None:
        """Send a message, once the child has started; it is started anew if it has ended."""
        if self._driving is None or self._driving.done():
            self._driving = asyncio.create_task(self._drive())
        if self._process is None or self._process.stdin is None:
            self._unsent.append(message)
        else:
            self._process.stdin.write(message)

    async def _drive(self) -> None:
        """Start the child and pass on what it says, until it ends; then nobody works on what is still watched."""
        why = f"the head of the cluster at {self._address} is gone; start it and the workers again"
        node = new_folder()
        try:
            self._process = await self._started(node)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            for message in self._unsent:
                self._process.stdin.write(message)
            self._unsent.clear()
            while (message_ := await next_frame(self._process.stdout)) is not None:
                if message_[0] == "failed":
                    why = message_[1]
                else:
                    self._pass_on(*message_)
        except OSError as error:
            why = f"the process that drives the cluster cannot be started ({error}); put that right"
        finally:
            await self._ended()
            shutil.rmtree(node, ignore_errors=True)  # a driver that Ray ended could not
            for queue in self._watched.values():
                queue.put_nowait(WorkersLost(f"{why}, then continue the run or start it again: what is stored stays"))

    def _pass_on(self, key: str, told: News | FFEError | None) -> None:
        if key in self._watched:
            self._watched[key].put_nowait(told)

    async def _started(self, node: Path) -> Process:
        folder = self._settings.data_dir / "logs"
        make_folder(folder, "the folder of logs")
        # -P: a folder that happens to hold modules of the same names is not what is started.
        command = [sys.executable, "-P", "-m", _DRIVER, self._address, str(node)]
        with Path(folder / "ray-driver.log").open("wb") as said:
            return await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=said, env=self._environment, start_new_session=True
            )

    async def _ended(self) -> None:
        """Close what is left of the child."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            status = await process.wait()
            log.info("the process that drives the cluster ended with status %d", status)
        # Also what was said while it ended: those runs are told that nobody works on them, so the next child must not.
        self._unsent.clear()
