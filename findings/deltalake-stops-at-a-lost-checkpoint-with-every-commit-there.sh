#!/bin/sh
# A Delta checkpoint holds nothing that the commits before it do not, and a reader may ignore it. Of a table with a
# checkpoint at commit 9 and every commit from 0 to 14 beside it, deltalake 1.6.6 reads nothing at all once that
# checkpoint is lost: with the file gone and `_last_checkpoint` still naming it, it says that it found none and stops,
# though with both gone it reads all 15 rows, and unreadable text in `_last_checkpoint` is passed over in silence. Its own
# `write_deltalake` stops likewise, so a table that lost this one redundant file takes no rows any more.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -m pip install --quiet --disable-pip-version-check --target "$work/lib" \
    deltalake==1.6.6 pyarrow==26.0.1 2>"$work/pip" || { cat "$work/pip" >&2; exit 2; }

cat > "$work/ask.py" <<'PY'
import os, sys, tempfile

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError


def table():
    folder = tempfile.mkdtemp(dir=sys.argv[1])
    for close in range(15):
        rows = pa.table({"close": [float(close)]})
        write_deltalake(folder, rows, mode="append", configuration={"delta.checkpointInterval": "10"})
    log = f"{folder}/_delta_log"
    return folder, f"{log}/{9:020}.checkpoint.parquet", f"{log}/_last_checkpoint"


def tried(step):
    try:
        return step()
    except DeltaError:
        return "DeltaError"


for name in ("whole", "checkpoint gone", "checkpoint and hint gone", "hint unreadable"):
    folder, checkpoint, hint = table()
    if name.startswith("checkpoint"):
        os.remove(checkpoint)
    if name == "checkpoint and hint gone":
        os.remove(hint)
    if name == "hint unreadable":
        open(hint, "w").write("not json")
    print(f"{name}: reads", tried(lambda: len(pa.table(DeltaTable(folder).to_pyarrow_table()))), end=", ")
    print("appends", tried(lambda: write_deltalake(folder, pa.table({"close": [99.0]}), mode="append") or "yes"))
PY
said=$(PYTHONPATH="$work/lib" "$python" "$work/ask.py" "$work" 2>/dev/null)
echo "$said"
expected="whole: reads 15, appends yes
checkpoint gone: reads DeltaError, appends DeltaError
checkpoint and hint gone: reads 15, appends yes
hint unreadable: reads 15, appends yes"
[ "$said" = "$expected" ] || { echo "changed; it said so far:"; echo "$expected"; exit 1; }
