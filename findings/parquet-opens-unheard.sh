#!/usr/bin/env bash
# pandas 3.1.1 with pyarrow 26.0.1: `read_parquet` opens a file of which Python's audit hooks hear
# nothing; `read_feather` of the same table is heard.
#
# Expected: the audit event `open` (PEP 578) is raised for every file that a Python program reads by
# its name, so that a hook can list what a program's results rest on; both readers are pandas
# functions on the same Arrow engine, so that both are heard or neither.
# Happens: pandas opens a Feather file in Python and hands pyarrow the open file; a Parquet file's
# name goes to pyarrow, which opens it in C++. No event at all names the Parquet file.

set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" 2>"$folder/pip.log"; }
pip install 'numpy==2.4.6' 'pandas==3.1.1' 'pyarrow==26.0.1' || { cat "$folder/pip.log"; exit 2; }

cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

import pandas as pd
import pyarrow

table = pd.DataFrame({"close": [1.0, 2.0, 3.0]})
table.to_parquet("table.parquet")
table.to_feather("table.feather")
table.to_csv("table.csv")
heard = []
names = ("table.csv", "table.feather", "table.parquet")
sys.addaudithook(
    lambda event, args: heard.append(event) if args and str(args[0]).endswith(names) else None
)


def events(read, name):
    heard.clear()
    assert read(name)["close"].tolist() == [1.0, 2.0, 3.0]
    return sorted(set(heard))


found = {
    "read_csv": events(pd.read_csv, "table.csv"),
    "read_feather": events(pd.read_feather, "table.feather"),
    "read_parquet": events(pd.read_parquet, "table.parquet"),
}
print("pandas", pd.__version__, "pyarrow", pyarrow.__version__, "events that name the file:")
for reader, what in found.items():
    print(f"{reader:<13}", what)
assert "open" in found["read_csv"] and "open" in found["read_feather"]
assert found["read_parquet"] == [], "read_parquet is heard now"
PYTHON
