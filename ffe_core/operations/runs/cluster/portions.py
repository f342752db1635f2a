"""Portions of runs on the machines of a cluster: dealt out, followed, and dealt anew when a machine is lost.

Ray places one actor on each machine that has joined as a worker, says when one is lost, and carries what is said; what
goes where is decided here, in the one event loop of the driver.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ffe_core.errors import FFEError, WorkersLost
from ffe_core.operations.runs.cluster.cluster_run import ClusterRun, Tell
from ffe_core.operations.runs.cluster.machine import Cannot, Machine
from ffe_core.operations.runs.cluster.needs import RESOURCE
from ffe_core.operations.runs.work import Work

log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_SILENT_SECONDS = 5.0
_PART = 0.001
"""Of the one worker that a machine has: as many consoles may have an actor there."""
_OPEN_SECONDS = 90.0
"""How long an actor may take to begin: it loads the program, on a machine that may be busy."""
_AGAIN_SECONDS = 10.0
"""How long a machine that cannot work is left alone: its settings may be put right, a server may come back."""


@dataclass(eq=False)
class Worker:
    """An actor of ours on a machine, which people know by its name."""

    node: str
    name: str
    actor: Any
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    rests_until: float = 0.0

    @property
    def rests(self) -> bool:
        """Whether it is given nothing now, as it could not work a moment ago."""
        return time.monotonic() < self.rests_until


class Portions:
    """All runs of one console on all machines of its cluster."""

    def __init__(self, address: str, tell: Tell) -> None:
        self._address, self._tell = address, tell
        self._workers: dict[str, Worker] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, ClusterRun] = {}
        self._keys: dict[str, Worker] = {}
        self._patience = 0.0
        self._following: set[asyncio.Task[None]] = set()

    # -- what the console says

    def start(self, work: Work, patience: float) -> None:
        """Begin a run; `patience` is how long (seconds) it waits for a machine."""
        self._patience = patience
        self._runs[work.key] = ClusterRun(work, self._tell)
        self._deal()

    def cancel(self, key: str) -> None:
        """Have a run end: each machine lets what is in flight come to its end."""
        run = self._runs.get(key)
        if run is None or run.is_cancelled:
            return
        run.cancel()
        for portion in run.under_way:
            self._keys[portion].actor.cancel.remote(portion)
        self._end_what_is_over()

    async def leave(self) -> None:
        """Leave the cluster; the actors end."""
        import ray

        for task in (*self._following, *self._opening.values()):
            task.cancel()
        await asyncio.to_thread(ray.shutdown)

    # -- machines

    async def keep_looking(self) -> None:
        """See which machines have joined, and say it when the head does not answer."""
        import ray

        while True:
            asking = asyncio.ensure_future(asyncio.to_thread(ray.nodes))
            done, _ = await asyncio.wait([asking], timeout=_SILENT_SECONDS)
            if not done:
                self._say_all("the cluster's head does not answer; what runs goes on, for a minute at most", "warning")
            try:
                nodes = await asking
            except Exception as error:  # whatever it is, it is tried again
                log.warning("the cluster cannot be asked for its machines: %s", error)
                nodes = []
            for node in nodes:
                if node["Alive"] and RESOURCE in node["Resources"]:
                    self._meet(node["NodeID"], node.get("NodeName") or node["NodeManagerHostname"])
            self._give_up_waiting()
            self._deal()
            await asyncio.sleep(_LOOK_SECONDS)

    def _meet(self, node: str, name: str) -> None:
        if node in self._workers or node in self._opening:
            return
        task = self._opening[node] = asyncio.create_task(self._open(node, name))
        task.add_done_callback(lambda _: self._opening.pop(node, None))

    async def _open(self, node: str, name: str) -> None:
        """Have an actor on a machine, if it can work."""
        worker = Worker(node, name, _actor_on(node))
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                why = await worker.actor.open.remote()
        except TimeoutError:
            why = f"its actor did not begin within {_OPEN_SECONDS:.0f} s"
        except Exception as error:  # it ended at once, or the machine did
            why = f"its actor cannot be started ({type(error).__name__})"
        if why is None:
            self._workers[node] = worker
            log.warning("%s works", name)
            self._deal()
            return
        log.warning("%s cannot work: %s", name, why)
        _kill(worker.actor)
        self._say_all(f"{name} cannot work: {why}", "warning")
        await asyncio.sleep(_AGAIN_SECONDS)

    def _lose(self, worker: Worker) -> None:
        """Give nothing more to an actor that does not answer; the machine gets another, if it is there."""
        if self._workers.get(worker.node) is worker:
            del self._workers[worker.node]
            _kill(worker.actor)

    # -- portions

    def _deal(self) -> None:
        """Give machines that have room for it portions of each run, one in turn and the idlest first."""
        nodes = list(self._workers)
        for run in self._runs.values():
            while sum(self._deal_one(run, worker, nodes) for worker in self._by_load()):
                pass

    def _deal_one(self, run: ClusterRun, worker: Worker, nodes: list[str]) -> bool:
        if not self._has_room(worker, run) or (work := run.next_portion(worker.node, worker.name, nodes)) is None:
            return False
        self._keys[work.key] = worker
        task = asyncio.create_task(self._follow(run, worker, work))
        for held in (worker.tasks, self._following):
            held.add(task)
            task.add_done_callback(held.discard)
        return True

    def _by_load(self) -> list[Worker]:
        return sorted(self._workers.values(), key=lambda worker: len(worker.tasks))

    def _has_room(self, worker: Worker, run: ClusterRun) -> bool:
        if worker.rests:
            return False
        mine = (left for key, left in run.under_way.items() if self._keys.get(key) is worker)
        return sum(map(len, mine)) < run.work.job.at_once

    async def _follow(self, run: ClusterRun, worker: Worker, work: Work) -> None:
        """See a portion through on a machine; what it leaves is dealt anew."""
        try:
            cannot = await self._worked_off(run, worker, work)
        except Exception as error:  # Ray's own: the actor, its process or its machine is gone
            run.over(work.key, worker.name, f"it is lost ({type(error).__name__})")
            self._lose(worker)
        else:
            if cannot is not None and cannot.passes:
                worker.rests_until = time.monotonic() + _AGAIN_SECONDS
            elif cannot is not None:
                run.refuse(worker.node, f"{worker.name}: {cannot.why}")
            run.over(work.key, worker.name, cannot.why if cannot else None, was_lost=cannot is None)
        del self._keys[work.key]
        self._end_what_is_over()
        self._deal()

    async def _worked_off(self, run: ClusterRun, worker: Worker, work: Work) -> Cannot | None:
        """Why a machine could not work on a portion; None if it has."""
        cannot: Cannot | None = await worker.actor.start.remote(work)
        if cannot is not None:
            return cannot
        if run.is_cancelled:
            worker.actor.cancel.remote(work.key)
        while not (told := await worker.actor.news.remote(work.key)).is_over:
            run.hear(work.key, worker.name, told)
            self._deal()
        run.hear(work.key, worker.name, told)
        failure: Cannot | None = told.failure
        return failure

    def _end_what_is_over(self) -> None:
        for key, run in list(self._runs.items()):
            refused = run.refused_by(self._workers)
            if run.is_over or refused is not None:
                del self._runs[key]
                run.end(None if run.is_over or refused is None else FFEError(refused))

    def _give_up_waiting(self) -> None:
        for key, run in list(self._runs.items()):
            if all(one.rests for one in self._workers.values()) and run.waits_for_workers(
                self._patience, self._address
            ):
                del self._runs[key]
                run.end(
                    WorkersLost(
                        f"no worker has joined the cluster at {self._address}; start one, then continue the run or"
                        " start it again"
                    )
                )

    def _say_all(self, text: str, level: str) -> None:
        for run in self._runs.values():
            run.say(text, level)


def _actor_on(node: str) -> Any:
    """An actor on a machine; Ray starts none in its stead elsewhere, and none anew: what it knew would be gone."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    made = ray.remote(Machine).options(
        num_cpus=0, resources={RESOURCE: _PART}, max_restarts=0, max_task_retries=0, scheduling_strategy=here
    )
    return made.remote()


def _kill(actor: Any) -> None:
    import ray

    with suppress(Exception):  # it may be gone already
        ray.kill(actor)
