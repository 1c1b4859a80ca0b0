import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.learning.labels import (
    NO_LABEL,
    Labels,
    barrier_labels,
    barrier_nb,
    fixed_horizon_labels,
    fixed_horizon_nb,
    labels_for,
)
from convnext_vbt.learning.symbols import fields_at, present_rows
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.volatility import ewma_volatility
from convnext_vbt.predictions import DOWN, STAY, UP, Target
from tests.examples import examples
from tests.learning.markets import garbage_after, hours, random_bars, random_frame, random_panel

HALFLIFE = 2.0  # sigma is valid after 41 bars
WARMUP = 41


def naive_barrier(bars, n, horizon, up, down):
    """One symbol, bar by bar, in plain Python over its present rows."""
    rows = [t for t in range(len(bars)) if math.isfinite(bars.close[t, n])]
    sigma = ewma_volatility(bars, halflife=HALFLIFE)[:, n]
    out = {}
    for i, t in enumerate(rows):
        if math.isnan(sigma[t]) or i + 1 >= len(rows):
            continue
        entry = bars.open[rows[i + 1], n]
        upper = entry * (1 + up * sigma[t] * math.sqrt(horizon))
        lower = entry * (1 - down * sigma[t] * math.sqrt(horizon))
        window = rows[i + 1 : i + 1 + horizon]
        for u in window:
            rose, fell = bars.high[u, n] >= upper, bars.low[u, n] <= lower
            if rose or fell:
                out[t] = (NO_LABEL if rose and fell else UP if rose else DOWN, u)
                break
        else:
            if len(window) == horizon:
                out[t] = (STAY, window[-1])
    return out


def naive_fixed(bars, n, horizon, up, down):
    rows = [t for t in range(len(bars)) if math.isfinite(bars.close[t, n])]
    sigma = ewma_volatility(bars, halflife=HALFLIFE)[:, n]
    out = {}
    for i, t in enumerate(rows):
        if math.isnan(sigma[t]) or i + horizon >= len(rows):
            continue
        change = bars.close[rows[i + horizon], n] / bars.open[rows[i + 1], n] - 1
        zone = sigma[t] * math.sqrt(horizon)
        label = UP if change > up * zone else DOWN if change < -down * zone else STAY
        out[t] = (label, rows[i + horizon])
    return out


@pytest.mark.parametrize(
    ("make", "naive"), [(barrier_labels, naive_barrier), (fixed_horizon_labels, naive_fixed)]
)
@pytest.mark.parametrize(("horizon", "up", "down"), [(1, 0.3, 0.3), (5, 0.6, 1.4), (24, 1.0, 0.5)])
def test_labels_equal_a_bar_by_bar_oracle_on_a_panel_with_gaps(make, naive, horizon, up, down):
    bars = random_panel(num_bars=400, num_symbols=3, seed=horizon)
    labels = make(bars, horizon=horizon, up=up, down=down, halflife=HALFLIFE)
    for n in range(3):
        expected = naive(bars, n, horizon, up, down)
        for t in range(len(bars)):
            label, end = expected.get(t, (NO_LABEL, min(t + horizon, len(bars) - 1)))
            assert (labels.values[t, n], labels.end[t, n]) == (label, end), (t, n)
    assert set(np.unique(labels.values)) == {-1, 0, 1, 2}


def _five_bars_after_warmup(moves):
    """A zigzag of 1 % a bar, so that sigma is log(1.01), then bars given as (o, h, l, c)."""
    closes = np.where(np.arange(WARMUP + 2) % 2, 101.0, 100.0)
    frame = pd.DataFrame(
        {"open": closes, "high": closes, "low": closes, "close": closes, "volume": 1.0}
    )
    later = pd.DataFrame(moves, columns=["open", "high", "low", "close"]).assign(volume=1.0)
    frame = pd.concat([frame, later], ignore_index=True)
    frame.index = pd.date_range("2024-01-01", periods=len(frame), freq="h", tz="UTC")
    return Bars.from_frame(frame)


ENTRY = 100.0
STEP = ENTRY * math.log(1.01) * math.sqrt(3)  # one barrier width for a horizon of 3


@pytest.mark.parametrize(
    ("moves", "label", "bars_to_end"),
    [
        # (open, high, low, close) in barrier widths from the entry, which is the first open.
        ([(0, 1.001, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)], UP, 1),
        ([(0, 0.999, 0, 0), (0, 0, -1.001, 0), (0, 2, 0, 0)], DOWN, 2),
        ([(0, 0, 0, 0), (0, 1.001, -1.001, 0), (0, 2, 0, 0)], NO_LABEL, 2),
        ([(0, 0.999, -0.999, 0)] * 3 + [(0, 5, 0, 5)], STAY, 3),
        ([(0, 0, 0, 0), (0, 0, 0, 0), (0, 1.001, 0, 0)], UP, 3),
        ([(0, 0.999, -0.999, 0)] * 2, NO_LABEL, 2),  # the data end before the outcome
        ([(0, 0, 0, 0), (0, 0, -1.001, 0)], DOWN, 2),  # here the outcome came first
    ],
)
def test_a_label_worked_by_hand(moves, label, bars_to_end):
    bars = _five_bars_after_warmup([[ENTRY + STEP * x for x in bar] for bar in moves])
    t = WARMUP + 1
    labels = barrier_labels(bars, horizon=3, halflife=HALFLIFE)
    assert labels.values[t, 0] == label
    assert labels.end[t, 0] == t + bars_to_end


def test_the_entry_is_the_next_open_not_this_close():
    gapped = [[150.0 + STEP * x for x in bar] for bar in [(0, 0.5, -0.5, 0)] * 3]
    labels = barrier_labels(_five_bars_after_warmup(gapped), horizon=3, halflife=HALFLIFE)
    assert labels.values[WARMUP + 1, 0] == STAY
    fixed = fixed_horizon_labels(_five_bars_after_warmup(gapped), horizon=3, halflife=HALFLIFE)
    assert fixed.values[WARMUP + 1, 0] == STAY


def test_unknown_until_sigma_has_warmed_up():
    labels = barrier_labels(random_bars(num_bars=200), horizon=2, halflife=HALFLIFE)
    assert (labels.values[: WARMUP - 1] == NO_LABEL).all()
    known = np.flatnonzero(labels.values[:, 0] != NO_LABEL)
    sigma = ewma_volatility(random_bars(num_bars=200), halflife=HALFLIFE)[:, 0]
    assert known[0] >= np.flatnonzero(np.isfinite(sigma))[0]


@examples(40)
@given(t=st.integers(75, 240), seed=st.integers(0, 10_000), fixed=st.booleans())
def test_a_label_depends_on_bars_up_to_its_end_alone(t, seed, fixed):
    make = fixed_horizon_labels if fixed else barrier_labels
    bars = random_panel(num_bars=250, num_symbols=3, seed=seed)
    before = make(bars, horizon=7, halflife=HALFLIFE)
    after = make(garbage_after(bars, t, seed + 1), horizon=7, halflife=HALFLIFE)
    known = (before.values != NO_LABEL) & (before.end <= t)
    assert known.any()
    np.testing.assert_array_equal(before.values[known], after.values[known])
    np.testing.assert_array_equal(before.end[known], after.end[known])


@examples(25)
@given(stop=st.integers(60, 250), seed=st.integers(0, 10_000))
def test_an_appended_bar_changes_no_label_that_was_known(stop, seed):
    bars = random_panel(num_bars=251, num_symbols=2, seed=seed)
    short = barrier_labels(bars.rows(0, stop), horizon=7, halflife=HALFLIFE)
    whole = barrier_labels(bars, horizon=7, halflife=HALFLIFE)
    known = short.values != NO_LABEL
    np.testing.assert_array_equal(short.values[known], whole.values[:stop][known])
    np.testing.assert_array_equal(short.end[known], whole.end[:stop][known])


def test_on_a_driftless_walk_up_and_down_are_equally_frequent():
    labels = barrier_labels(random_bars(num_bars=60_000, seed=3))
    down, stay, up = labels.shares
    assert down + stay + up == pytest.approx(1)
    # About 2,500 independent windows: the standard error of a share is about 0.009.
    assert abs(up - down) < 0.03
    assert 0.2 < up < 0.4


def test_wider_barriers_are_touched_less():
    bars = random_bars(num_bars=5_000)
    assert barrier_labels(bars, up=2.0, down=2.0).shares[STAY] > barrier_labels(bars).shares[STAY]
    lopsided = barrier_labels(bars, up=2.0, down=0.5).shares
    assert lopsided[DOWN] > 2 * lopsided[UP]


@pytest.mark.parametrize("kernel", [barrier_nb, fixed_horizon_nb])
def test_compiled_and_plain_kernels_agree(kernel):
    bars = random_panel(num_bars=300, num_symbols=2, seed=5)
    rows = present_rows(bars, 1)
    fields, rows = fields_at(bars, 1, rows), np.arange(300)[rows]
    width = ewma_volatility(bars, halflife=HALFLIFE) * math.sqrt(6)
    results = []
    for function in (kernel, kernel.py_func):
        label, end = np.full((300, 2), NO_LABEL, dtype=np.int8), np.zeros((300, 2), np.int64)
        function(fields, rows, 1, width, 6, 1.0, 1.0, label, end)
        results.append((label, end))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert len(np.unique(results[0][0])) > 2


def test_a_target_chooses_the_kind():
    bars = random_bars(num_bars=600)
    numbers = {"horizon": 12, "up": 0.7, "down": 0.9, "halflife": 10.0}
    for kind, make in (("barrier", barrier_labels), ("fixed", fixed_horizon_labels)):
        by_target = labels_for(bars, Target(kind=kind, **numbers))
        np.testing.assert_array_equal(by_target.values, make(bars, **numbers).values)
    assert labels_for(bars, Target(kind="barrier", **numbers)).opens.equals(bars.index)


def test_a_market_that_never_moves_has_no_labels_of_direction():
    frame = random_frame(num_bars=200).assign(open=5.0, high=5.0, low=5.0, close=5.0)
    bars = Bars.from_frame(frame)
    assert set(np.unique(barrier_labels(bars, halflife=HALFLIFE).values)) == {NO_LABEL}
    assert set(np.unique(fixed_horizon_labels(bars, halflife=HALFLIFE).values)) == {-1, STAY}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0}, r"horizon must be at least 1 bar, got 0; set labels.horizon"),
        ({"up": 0.0}, r"up must be a positive multiple, got 0.0; set labels.up"),
        ({"down": math.nan}, r"down must be a positive multiple, got nan; set labels.down"),
        ({"halflife": -1.0}, r"halflife must be finite and at least 0.1 bars, got -1.0"),
    ],
)
@pytest.mark.parametrize("make", [barrier_labels, fixed_horizon_labels])
def test_settings_that_make_no_sense_are_refused(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(random_bars(num_bars=50), **arguments)


@pytest.mark.parametrize(
    ("values", "end", "message"),
    [
        ([[0], [1]], [[1]], r"must share a shape \(bars, symbols\), got \(2, 1\) and \(1, 1\)"),
        ([[0], [3]], [[1], [1]], r"must be -1, 0, 1 or 2, got \[0, 3\]"),
        ([[0], [1]], [[1], [0]], r"bar 1 must end between that bar and the last one \(1\), got 0"),
        ([[0], [1]], [[1], [2]], r"bar 1 must end between that bar and the last one \(1\), got 2"),
    ],
)
def test_labels_are_checked(values, end, message):
    with pytest.raises(ValueError, match=message):
        Labels(values=np.array(values), end=np.array(end), opens=hours(len(values)))


def test_labels_have_a_time_for_each_bar():
    with pytest.raises(ValueError, match="opens must have a time for each bar, got 3 for 2"):
        Labels(values=np.zeros((2, 1)), end=np.ones((2, 1)), opens=hours(3))


def test_labels_are_frozen():
    labels = barrier_labels(random_bars(num_bars=60))
    assert not labels.values.flags.writeable
    assert not labels.end.flags.writeable
    assert labels.values.dtype == np.int8
    assert labels.end.dtype == np.int64
    assert math.isnan(labels.shares[0])
