"""What one pass says against the plain way, and plain files read the quick way against the long."""

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.market import passes
from convnext_vbt.market.bars import value_faults
from convnext_vbt.market.files import read_file

COUNT = 20_000
RNG = np.random.default_rng(3)
CLOSE = np.round(100 + RNG.normal(0, 0.05, COUNT).cumsum(), 2)
BARS = {"open": CLOSE, "high": CLOSE + 1, "low": CLOSE - 1, "close": CLOSE}
BARS = {name: np.round(values, 2) for name, values in BARS.items()} | {
    "volume": np.round(RNG.exponential(9, COUNT) + 0.01, 3)
}


@pytest.mark.parametrize("field", list(BARS))
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0, 1e9])
@pytest.mark.parametrize("row", [0, 1, COUNT - 1])
def test_sound_rows_are_those_without_a_fault(field, value, row):
    bars = {name: values.copy() for name, values in BARS.items()}
    assert passes.are_sound(bars)
    bars[field][row] = value
    tall = {name: values[:, None] for name, values in bars.items()}
    faults = any(bad.any() for _, _, bad in value_faults(tall))
    assert passes.are_sound(bars) == (not faults)


def test_a_market_without_any_volume_is_sound_one_with_holes_is_not():
    none = BARS | {"volume": np.full(COUNT, np.nan)}
    assert passes.are_sound(none)
    none["volume"][7] = 1.0
    assert not passes.are_sound(none)


@pytest.mark.parametrize("odd", [0.0, 0.2, 0.9])
def test_distances_and_days_as_numpy_counts_them(odd):
    steps = np.where(RNG.random(70_000) < odd, RNG.integers(1, 4, 70_000), 2) * 60
    times = np.cumsum(steps)
    distance, counts = np.unique(np.diff(times), return_counts=True)
    usual = passes.usual_distance(times)
    assert usual == distance[counts.argmax()]
    where, other = passes.unusual_distances(times, usual)
    np.testing.assert_array_equal(where, np.flatnonzero(np.diff(times) != usual))
    np.testing.assert_array_equal(other, np.diff(times)[where])
    found = passes.days_of(times, 86_400)
    for got, wanted in zip(
        found, np.unique(times // 86_400, return_index=True, return_counts=True), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)
    assert passes.are_increasing(times)
    times[32_768] = times[32_767]  # where two pieces meet
    assert not passes.are_increasing(times)


@pytest.mark.parametrize("start", [60, 8_186, 8_190, 8_192, 8_200, COUNT - 60])
@pytest.mark.parametrize("lag", [1, 7, 47, 48])
@pytest.mark.parametrize("few", [3, 6])
def test_no_copy_is_overlooked(start, lag, few):
    names = list(BARS) if few == 3 else list(BARS)[:4]
    bars = {name: BARS[name].copy() for name in names}
    assert not passes.may_repeat(bars, few, 48)
    for values in bars.values():
        for row in range(start, start + few):
            values[row] = values[row - lag]
    assert passes.may_repeat(bars, few, 48)


@pytest.mark.parametrize(
    "stamp",
    ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+00:00", "%Y-%m-%d %H:%M", "s", "ms", "us", "ns"],
)
@pytest.mark.parametrize("cell", ["", "null", "17", "1e3", '"2.50"'])
def test_a_plain_file_reads_as_one_with_blanks_around_its_times(tmp_path, stamp, cell):
    hours = pd.date_range("2024-01-01", periods=300, freq="h")
    times = hours.strftime(stamp) if "%" in stamp else hours.as_unit(stamp).asi8.astype(str)
    rows = [
        f"{time},{o},{h},{low},{c},{v}"
        for time, o, h, low, c, v in zip(times, *(BARS[n][:300] for n in BARS), strict=True)
    ]
    rows[5] = f"{rows[5].rpartition(',')[0]},{cell}"
    said = []
    for before in ("", " "):
        path = tmp_path / f"x{len(before)}.csv"
        path.write_text("\n".join(["date,open,high,low,close,volume", before + rows[0], *rows[1:]]))
        try:
            report = read_file(path, "X")
        except ValueError as error:
            said.append(str(error).replace(path.name, ""))
        else:
            told = (report.times, report.reading, report.changes)
            said.append((report.bars.fingerprint(), *told))
    assert said[0] == said[1]


def test_a_row_that_moved_no_price_is_no_copy():
    flat = {name: np.full(100, 5.0) for name in BARS}
    assert not passes.may_repeat(flat, 3, 48)
