#!/bin/sh
# Machines that begin to fill one lake make its table if there is none, and say mode="ignore" so that the first wins.
# deltalake 1.6.6 looks for a table only before it writes: of two at one moment the second creation is refused, tried
# again by itself, and committed as version 1. A second CREATE TABLE takes the place of the properties of the first, so
# what that one, or anybody since, has noted there of a table of candles (its unit, its sources) is gone, and no error is
# raised. With max_commit_retries=0 the second creation raises, and the table stays what the first made.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -m pip install --quiet --disable-pip-version-check --target "$work/lib" \
    deltalake==1.6.6 pyarrow==26.0.1 2>"$work/pip" || { cat "$work/pip" >&2; exit 2; }

cat > "$work/ask.py" <<'PY'
import sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import DeltaError

SCHEMA = pa.schema([("pair", pa.string()), ("close", pa.float64())])


def race(properties):
    """Two that make a table at one moment, each with a property of its own: the version after, and whose are there."""
    folder, start = tempfile.mkdtemp(dir=sys.argv[1]), Barrier(2)

    def make(unit):
        start.wait()
        try:
            DeltaTable.create(
                folder, SCHEMA, mode="ignore", partition_by=["pair"],
                configuration={f"candles.unit.{unit}": "true"}, raise_if_key_not_exists=False, commit_properties=properties,
            )
        except DeltaError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(make, ("USD", "EUR")))
    table = DeltaTable(folder)
    return table.version(), len(table.metadata().configuration), all(made)


for name, properties in (("as it is", None), ("without retries", CommitProperties(max_commit_retries=0))):
    found = [race(properties) for _ in range(60)]
    twice = [one for one in found if one[0] == 1]
    print(f"{name}: ever created twice: {bool(twice)}, both told that it went well: {any(one[2] for one in twice)},"
          f" properties of both ever there: {any(one[1] == 2 for one in found)}")
PY
said=$(PYTHONPATH="$work/lib" "$python" "$work/ask.py" "$work" 2>/dev/null)
echo "$said"
expected="as it is: ever created twice: True, both told that it went well: True, properties of both ever there: False
without retries: ever created twice: False, both told that it went well: False, properties of both ever there: False"
[ "$said" = "$expected" ] || { echo "changed; it said so far:"; echo "$expected"; exit 1; }
