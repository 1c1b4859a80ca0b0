#!/usr/bin/env bash
# pyarrow 26.0.1: a filter finds a row in a table and not in the Parquet file of that table.
#
# Expected: read_table(file, filters=f) gives the rows that table.filter(f) gives; filters only
# save reading.
# Happens: a row group is skipped by its minimum and maximum, which leave NaN out. not (x < 5) is
# true of NaN in memory, and from the file the row is gone if all other values of its row group are
# below 5, but there if one is not. is_nan(x), asked for outright, finds nothing where the other
# values of the row group are equal.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'pyarrow==26.0.1' || { cat "$folder/pip.log"; exit 2; }

"$folder/venv/bin/python" - <<'PYTHON'
import os
import tempfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

nan = float("nan")
x = pc.field("x")
cases = [
    ("not (x < 5)", ~(x < 5), [1.0, nan, 3.0]),
    ("not (x < 5)", ~(x < 5), [1.0, nan, 9.0]),
    ("x != 2", x != 2, [2.0, nan, 2.0]),
    ("is_nan(x)", pc.is_nan(x), [2.0, nan, 2.0]),
    ("is_nan(x)", pc.is_nan(x), [2.0, nan, 3.0]),
]
got = []
print("pyarrow", pa.__version__)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "x.parquet")
    for name, condition, values in cases:
        table = pa.table({"row": range(3), "x": values})
        pq.write_table(table, path)
        memory = table.filter(condition)["row"].to_pylist()
        stored = pq.read_table(path, filters=condition)["row"].to_pylist()
        print(f"{name:12} of {values}: rows in memory {memory}, from the file {stored}")
        got.append((memory, stored))
assert got == [([1], []), ([1, 2], [1, 2]), ([1], []), ([1], []), ([1], [1])], got
PYTHON
