#!/bin/sh
# Arrow keeps a pair's name once for a million candles as a dictionary column, and a Delta table has such a column as
# plain text. deltalake 1.6.6 takes it so in any column but the one place where a lake of candles always repeats a text:
# given as the column that the table is partitioned by, the same rows are refused, with one value or several, whether the
# write makes the table or appends to it, and the column has to be spelled out row by row first.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
"$python" -m pip install --quiet --disable-pip-version-check --target "$work/lib" \
    deltalake==1.6.6 pyarrow==26.0.1 2>"$work/pip" || { cat "$work/pip" >&2; exit 2; }

cat > "$work/ask.py" <<'PY'
import sys, tempfile

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError


def candles(dictionary=None):
    rows = pa.table({"pair": ["BTCUSD", "BTCUSD"], "source": ["coinbase", "coinbase"], "close": [1.0, 2.0]})
    if dictionary is None:
        return rows
    return rows.set_column(rows.schema.get_field_index(dictionary), dictionary, rows[dictionary].dictionary_encode())


for name in ("makes the table", "appends"):
    for column in ("source", "pair"):
        folder = tempfile.mkdtemp(dir=sys.argv[1])
        if name == "appends":
            write_deltalake(folder, candles(), partition_by=["pair"])
        try:
            write_deltalake(folder, candles(column), mode="append", partition_by=["pair"])
            held = pa.table(DeltaTable(folder).to_pyarrow_table())
            said = f"{len(held)} rows, {DeltaTable(folder).schema().to_json().count('string')} columns of text"
        except DeltaError:
            said = "DeltaError"
        print(f"{name}, {column} as a dictionary: {said}")
PY
said=$(PYTHONPATH="$work/lib" "$python" "$work/ask.py" "$work" 2>/dev/null)
echo "$said"
expected="makes the table, source as a dictionary: 2 rows, 2 columns of text
makes the table, pair as a dictionary: DeltaError
appends, source as a dictionary: 4 rows, 2 columns of text
appends, pair as a dictionary: DeltaError"
[ "$said" = "$expected" ] || { echo "changed; it said so far:"; echo "$expected"; exit 1; }
