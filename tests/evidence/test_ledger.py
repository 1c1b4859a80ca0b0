import errno
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convnext_vbt.errors import WriteError
from convnext_vbt.evidence.headline import headline
from convnext_vbt.evidence.ledger import (
    DataSet,
    Entry,
    Trials,
    count_trials,
    record,
    rule_entries,
    run_entry,
    trials_of,
)
from convnext_vbt.trading.sweep import sweep
from tests.evidence.markets import make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

ROOT = Path(__file__).parents[2]
DATA = DataSet(
    symbols=("BTC",), step="1h", first="2020-01-01T00:00:00Z", last="2021-01-01T00:00:00Z"
)


def entry(key, kind="rule", sharpe=0.1, num_days=300):
    return Entry(key=key, kind=kind, sharpe=sharpe, num_days=num_days)


def dataset(**changes):
    fields = {name: getattr(DATA, name) for name in ("symbols", "step", "first", "last")}
    return DataSet(**(fields | changes))


@pytest.fixture(scope="module")
def bars():
    return make_bars()


def test_a_ledger_that_is_not_there_has_counted_nothing(tmp_path):
    found = count_trials(tmp_path / "ledger.jsonl", DATA)
    assert (found.num_runs, found.num_rules) == (0, 0)
    assert math.isnan(found.variance)
    assert not (tmp_path / "ledger.jsonl").exists()


def test_distinct_keys_are_counted_by_kind_and_runs_add_nothing_to_the_variance(tmp_path):
    path = tmp_path / "ledger.jsonl"
    record(path, DATA, [entry("a", sharpe=0.1), entry("b", sharpe=0.4), entry("c", sharpe=0.2)])
    record(path, DATA, [entry("r", "run", sharpe=9.0), entry("d", sharpe=math.nan)])
    found = count_trials(path, DATA)
    assert (found.num_runs, found.num_rules) == (1, 4)
    assert found.variance == pytest.approx(np.var([0.1, 0.4, 0.2], ddof=1))


def test_running_again_neither_counts_nor_writes(tmp_path):
    path = tmp_path / "ledger.jsonl"
    record(path, DATA, [entry("a"), entry("a"), entry("r", "run")])
    before = path.read_bytes()
    record(path, DATA, [entry("a"), entry("r", "run")])
    assert path.read_bytes() == before
    assert count_trials(path, DATA).num_rules == 1


def test_a_longer_history_is_the_same_data_and_its_latest_sharpe_ratio_stands(tmp_path):
    path = tmp_path / "ledger.jsonl"
    later = dataset(last="2021-06-01T00:00:00Z")
    record(path, DATA, [entry("a", sharpe=0.1), entry("b", sharpe=0.3)])
    record(path, later, [entry("a", sharpe=0.5)])
    for asked in (DATA, later):
        found = count_trials(path, asked)
        assert found.num_rules == 2
        assert found.variance == pytest.approx(np.var([0.5, 0.3], ddof=1))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"step": "4h"}, False),
        ({"symbols": ("ETH",)}, False),
        ({"symbols": ("ETH", "BTC")}, True),
        ({"first": "2021-01-01T00:00:00Z", "last": "2022-01-01T00:00:00Z"}, True),
        ({"first": "2019-01-01T00:00:00Z", "last": "2020-01-01T00:00:00Z"}, True),
        ({"first": "2021-01-01T01:00:00Z", "last": "2022-01-01T00:00:00Z"}, False),
        ({"first": "2018-01-01T00:00:00Z", "last": "2019-12-31T23:00:00Z"}, False),
    ],
)
def test_the_same_data_shares_a_symbol_the_bar_size_and_dates(tmp_path, changes, same):
    path = tmp_path / "ledger.jsonl"
    record(path, dataset(**changes), [entry("a")])
    assert count_trials(path, DATA).num_rules == int(same)


def test_bars_know_their_data_set(bars):
    assert DataSet.of(bars) == DataSet(
        symbols=("S0",),
        step="1h",
        first=bars.index[0].isoformat().replace("+00:00", "Z"),
        last=bars.index[-1].isoformat().replace("+00:00", "Z"),
    )


LINE = {
    "key": "z", "kind": "rule", "symbols": ["BTC"], "step": "1h", "first": DATA.first,
    "last": DATA.last, "sharpe": 0.1, "days": 3,
}  # fmt: skip
FAULTS = (
    "not json",
    "[]",
    "3",
    "\x00\x80",
    '{"key": "z"}',
    json.dumps(LINE | {"key": 3}),
    json.dumps(LINE | {"kind": "odd"}),
    json.dumps(LINE | {"symbols": "BTC"}),
    json.dumps(LINE | {"symbols": [None]}),
    json.dumps(LINE | {"sharpe": "high"}),
    json.dumps(LINE | {"days": 3.5}),
)


def test_a_line_like_those_is_read_where_nothing_is_wrong_with_it(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps(LINE))
    assert count_trials(path, DATA).num_rules == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_line_is_left_out_with_a_warning_and_left_in_place(tmp_path, fault):
    path = tmp_path / "ledger.jsonl"
    record(path, DATA, [entry("a")])
    with path.open("ab") as file:
        file.write(fault.encode("latin-1") + b"\n\n")
    record(path, DATA, [entry("b")])
    with pytest.warns(UserWarning, match=r"1 line\(s\) cannot be read .* the first is line 2"):
        assert count_trials(path, DATA).num_rules == 2
    assert fault.encode("latin-1") in path.read_bytes()


def test_half_a_last_line_costs_no_other_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    record(path, DATA, [entry("a"), entry("b")])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    record(path, DATA, [entry("b"), entry("c")])
    assert path.read_bytes().startswith(whole[:-20] + b"\n")
    with pytest.warns(UserWarning, match="the first is line 2"):
        assert count_trials(path, DATA).num_rules == 3


def test_a_last_line_that_only_lacks_its_end_is_whole(tmp_path):
    path = tmp_path / "ledger.jsonl"
    record(path, DATA, [entry("a")])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    record(path, DATA, [entry("b")])
    assert count_trials(path, DATA).num_rules == 2


WRITERS = """
import os, sys, warnings
from convnext_vbt.evidence.ledger import count_trials, record
from tests.evidence.test_ledger import DATA, entry

warnings.simplefilter("error")
path, pids = sys.argv[1], []
for writer in range(3):
    pids.append(os.fork())
    if pids[-1] == 0:
        for n in range(15):
            record(path, DATA, [entry(f"{writer}-{n}-{k}" + "x" * 200) for k in range(30)])
            count_trials(path, DATA)  # a reader beside the writers: half a line would be a warning
        os._exit(0)
sys.exit(sum(os.waitpid(pid, 0)[1] for pid in pids) != 0)
"""


@pytest.mark.slow
def test_concurrent_writers_lose_and_mix_nothing(tmp_path):
    path = tmp_path / "ledger.jsonl"
    subprocess.run([sys.executable, "-c", WRITERS, str(path)], check=True, cwd=ROOT)
    lines = path.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 3 * 15 * 30
    assert count_trials(path, DATA).num_rules == len(lines)


KILLED = """
import os, sys
from pathlib import Path
from convnext_vbt.evidence.ledger import _append, _lock_file
from convnext_vbt.system import exclusive
path = Path(sys.argv[1])
with exclusive(_lock_file(path)):
    _append(path, b'{"key": "half')
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_no_lock_behind(tmp_path):
    path = tmp_path / "ledger.jsonl"
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == -9
    record(path, DATA, [entry("a")])
    with pytest.warns(UserWarning, match="the first is line 1"):
        assert count_trials(path, DATA).num_rules == 1


def test_a_disk_without_locks_is_written_and_read_all_the_same(tmp_path, monkeypatch):
    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    record(tmp_path / "ledger.jsonl", DATA, [entry("a"), entry("b")])
    assert count_trials(tmp_path / "ledger.jsonl", DATA).num_rules == 2


def test_a_full_disk_cuts_no_line_off(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "ledger.jsonl"
    record(path, DATA, [entry("a")])
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(WriteError, match=r"ledger.jsonl cannot be written \(No space left"):
        record(path, DATA, [entry("b")])
    assert path.read_bytes() == before


def test_a_ledger_in_no_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"ledger\.jsonl cannot be written"):
        record(tmp_path / "file" / "ledger.jsonl", DATA, [entry("a")])


def test_every_rule_of_a_sweep_is_one_trial_whatever_the_risks(bars):
    preds = make_predictions(bars)
    result = make_sweep(bars, preds, risk=[0.004, 0.001, 0.002])
    assert (result.metrics["capped_share"] < 0.05).all()
    entries = rule_entries(result, "k")
    assert len(entries) == len({e.key for e in entries}) == 4
    small = result.metrics.xs(0.001, level="risk")["sharpe"] / math.sqrt(365)
    assert [e.sharpe for e in entries] == pytest.approx(small.tolist())
    assert {e.num_days for e in entries} == {len(result.daily_returns)}
    other_risk = make_sweep(bars, preds, risk=[0.003])
    assert {e.key for e in rule_entries(other_risk, "k")} == {e.key for e in entries}
    assert {e.key for e in rule_entries(result, "l")}.isdisjoint(e.key for e in entries)


def test_stops_and_capped_cells_are_rules_of_their_own(bars):
    preds = make_predictions(bars)
    plain = rule_entries(make_sweep(bars, preds), "k")
    stops = make_sweep(bars, preds, stop_multiple=[1.0, 0.5], take_profit_multiple=[1.0, 2.0])
    entries = rule_entries(stops, "k")
    assert len({e.key for e in entries}) == 16
    # The usual multiple, swept or not, is the same rule.
    assert {e.key for e in plain} < {e.key for e in entries}

    capped = make_sweep(bars, preds, risk=[0.001, 0.05, 0.08])
    table = capped.metrics["capped_share"].unstack("risk")
    assert (table[0.001] < 0.05).all()
    assert (table[[0.05, 0.08]] > 0.05).all(axis=None)
    keys = {e.key for e in rule_entries(capped, "k")}
    assert len(keys) == 4 * 3
    assert {e.key for e in plain} < keys


def test_a_rule_is_one_trial_however_many_symbols_and_counts_without_a_trade(bars):
    pair = make_bars(symbols=2)
    entries = rule_entries(make_sweep(pair, make_predictions(pair)), "k")
    assert len({e.key for e in entries}) == 4
    silent = rule_entries(make_sweep(bars, make_predictions(bars), threshold=[0.999999, 0.4]), "k")
    assert [math.isnan(e.sharpe) for e in silent] == [True, False]
    found = trials_of(silent)
    assert found.num_rules == 2
    assert math.isnan(found.variance)


def test_another_least_edge_is_another_rule_and_the_same_whether_swept_or_not(bars):
    preds = make_predictions(bars)

    def keys(fixed, **arguments):
        found = sweep(bars, preds, threshold=[0.4, "q0.60"], risk=[0.01], **arguments)
        return {e.key for e in rule_entries(found, "k", fixed=fixed)}

    swept = keys({"hysteresis": 0.05, "min_edge": None}, min_edge=[0.0, 0.5])
    assert len(swept) == 4
    alone = [keys({"hysteresis": 0.05, "min_edge": edge}, min_edge=edge) for edge in (0.0, 0.5)]
    assert set.union(*alone) == swept
    assert keys({"hysteresis": 0.05, "min_edge": None}).isdisjoint(swept)
    assert keys({"hysteresis": 0.02, "min_edge": 0.0}, min_edge=0.0).isdisjoint(swept)


def test_a_run_is_recorded_with_its_headline_and_read_back(tmp_path, bars):
    path = tmp_path / "ledger.jsonl"
    result = make_sweep(bars, make_predictions(bars))
    head = headline(result)
    entries = [run_entry(head, "run"), *rule_entries(result, "rules")]
    record(path, DataSet.of(bars), entries)
    assert count_trials(path, DataSet.of(bars)) == trials_of(entries)
    assert trials_of(entries) == Trials(
        num_runs=1, num_rules=4, variance=float(np.var([e.sharpe for e in entries[1:]], ddof=1))
    )
    line = json.loads(path.read_text().splitlines()[0])
    assert line["sharpe"] == head.sharpe / math.sqrt(365)
    assert (line["kind"], line["days"], line["symbols"]) == ("run", head.num_days, ["S0"])
