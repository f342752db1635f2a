"""Does every record land exactly once when the replay is killed at any moment?

python -m tests.operations.dead_letters.replay_kills [--kills 100] [--records 5000] [--seed N] [--store]

Five thousand pending records are replayed by a process of its own that is killed (SIGKILL) at a random moment, again
and again, until a replay gets through. Then every record must be in the lake once, and every file must say so. New
records are taken until there were enough kills. With `--store` lake and dead letters lie in an object store.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from ffe_core.operations.dead_letters.service import DeadLetters
from ffe_core.operations.runs.service import RunService
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.opening import queue_of
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.object_store import Store, running
from tests.storage.dead_letters.harness import BTC, good

_ROOT = Path(__file__).parents[3]
_ENTRIES = 10
_MOST_DEATHS = 12
"""So often one set of records is interrupted, then it is let through."""
_WAIT = 120


def _settings(folder: Path) -> Settings:
    """Those of a data directory; its lake lies where the environment says."""
    return Settings.load({"data_dir": str(folder)})


def prepare(folder: Path, records: int) -> None:
    """So many valid records, kept as dead letters in several entries."""
    queue = queue_of(_settings(folder))
    share = records // _ENTRIES
    for first in range(0, records, share):
        queue.save([good(hour) for hour in range(first, first + share)], "kept with their batch", BTC)


def replay(folder: Path) -> None:
    """Replay everything pending; says "begun" before, and returns when the run has ended."""
    database = Database(folder / DATABASE_FILE)
    service = RunService(_settings(folder), database)
    dead_letters = DeadLetters(service)
    selection = dead_letters.queue.select()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    service.wait(dead_letters.replay(selection, "ann", lease_wait=_WAIT), _WAIT)
    service.close()
    database.close()


def killed(folder: Path, after: float | None) -> float | None:
    """Replay in a process of its own and kill it so many seconds after it has begun; never if that is None.

    None if it was killed; otherwise how long it took from there to its end, in seconds.
    """
    command = [sys.executable, "-m", "tests.operations.dead_letters.replay_kills", "--replay", str(folder)]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n", "the replay did not begin"
    began = time.monotonic()
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
    process.stdout.close()
    return None if process.wait(_WAIT) == -signal.SIGKILL else time.monotonic() - began


def faults(folder: Path, records: int) -> list[str]:
    """What is wrong with the lake and the files after the last replay; empty if every record landed once."""
    rows = DeltaLakeManager.of(_settings(folder)).read_table("raw_market_data_1h", columns=["_dead_letter_id"])
    ids = Counter(rows["_dead_letter_id"].tolist())
    queue = queue_of(_settings(folder))
    wanted = {f"{batch_id}#{number}" for batch_id, numbers in queue.select().items() for number in numbers}
    found = [f"{len(wanted)} records instead of {records}"] if len(wanted) != records else []
    found += [f"{id_} is stored {times} times" for id_, times in ids.items() if times != 1]
    found += [f"{id_} is not stored" for id_ in wanted - ids.keys()]
    found += [f"{id_} is stored and was never asked for" for id_ in ids.keys() - wanted]
    found += [f"{row.id} is {row.status}" for row in queue.batches() if row.status != "replayed"]
    return found


def trials(
    kills: int, records: int, chance: random.Random, store: Store | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Kill replays until there were so many kills; after each set of records the kills so far and what is wrong.

    With a `store` each set has a lake of its own there.
    """
    done, whole = 0, 1.0
    while done < kills:
        if store is not None:
            os.environ.update({**store.variables(), "FFE_LAKE_URI": store.address()})
        folder = Path(tempfile.mkdtemp(prefix="replay-kills-"))
        try:
            prepare(folder, records)
            deaths = 0
            while deaths < _MOST_DEATHS and done < kills:
                if (took := killed(folder, chance.uniform(0, whole))) is not None:
                    whole = max(0.3, (whole + took) / 2)
                    break
                # Too soon for most moments to be reached: wait longer the next time.
                deaths, done, whole = deaths + 1, done + 1, whole * 1.1
            killed(folder, None)
            yield done, faults(folder, records)
        finally:
            shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--store", action="store_true", help="keep lake and dead letters in an object store")
    parser.add_argument("--replay", type=Path, help="replay what is in this folder, and end")
    chosen = parser.parse_args()
    if chosen.replay:
        replay(chosen.replay)
        return 0
    sys.stdout.write(f"seed {chosen.seed}\n")
    wrong = 0
    with running() if chosen.store else nullcontext() as store:
        for done, found in trials(chosen.kills, chosen.records, random.Random(chosen.seed), store):
            wrong += len(found)
            sys.stdout.write(f"{done} kills, {len(found)} faults\n" + "".join(f"  {one}\n" for one in found[:20]))
            sys.stdout.flush()
    sys.stdout.write("every record landed once\n" if not wrong else f"{wrong} faults\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
