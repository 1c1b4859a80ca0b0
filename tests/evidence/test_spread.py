import functools

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from convnext_vbt.evidence.spread import implied_half_spread, mean_and_error, products
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars

BP = 1e-4


def bars_of(log_open, log_high, log_low, log_close, *, keep=None, freq="h"):
    """Bars of log prices (T,), those of `keep` alone."""
    index = pd.date_range("2020-01-01", periods=len(log_close), freq=freq, tz="UTC")
    table = pd.DataFrame(
        np.exp(np.column_stack([log_open, log_high, log_low, log_close])),
        index=index,
        columns=["open", "high", "low", "close"],
    ).assign(volume=1.0)
    return Bars.from_frame(table if keep is None else table[keep])


@functools.cache
def bouncing(
    half_spread, *, seed=0, hour=0.006, own_open=False, reversal=0.0, num_bars=12_000, wide=False
):
    """A martingale walked in minutes, with volatility that comes in clusters of days; its close
    prints bounce, its opens are the close before or bounce themselves; high and low are the
    path's and those prints', or all of the path's prints' (`wide`). `reversal` of a bar's return
    is taken back evenly over the next."""
    rng = np.random.default_rng(seed)
    minutes = rng.standard_normal((num_bars, 60)) * hour / np.sqrt(60)
    shocks = 0.08 * rng.standard_normal(num_bars)
    minutes *= np.exp(lfilter([1.0], [1.0, -0.97], shocks))[:, None]
    taken = lfilter([1.0], [1.0, reversal], minutes.sum(axis=1))  # each bar's return, in the end
    minutes[1:] -= reversal * taken[:-1, None] / 60
    path = minutes.cumsum().reshape(num_bars, 60)
    first = np.concatenate(([0.0], path[:-1, -1]))

    def prints(mid):
        return mid + half_spread * rng.choice([-1.0, 1.0], num_bars)

    close = prints(path[:, -1])
    open_ = prints(first) if own_open else np.concatenate(([0.0], close[:-1]))
    around = half_spread if wide else 0.0
    high = np.maximum.reduce([path.max(axis=1) + around, first + around, open_, close])
    low = np.minimum.reduce([path.min(axis=1) - around, first - around, open_, close])
    return open_, high, low, close


def found(bars):
    spread = implied_half_spread(bars)
    assert spread.estimate.shape == spread.low.shape == (1,)
    return spread.estimate[0] / BP, spread.low[0] / BP


def test_products_worked_by_hand():
    #                 close is the high  close inside      o is the close before; low = that close
    high = np.array([0.02, 0.03, 0.03, 0.05])
    low = np.array([-0.02, 0.01, 0.00, 0.01])
    close = np.array([0.00, 0.03, 0.01, 0.04])
    roll, middle, loading = products(high, low, close)
    # -(.01 - .03)(.03 - 0); -(.04 - .01)(.01 - .03)
    np.testing.assert_allclose(roll, [6e-4, 6e-4], rtol=1e-12)
    # middles 0, .02, .015, .03: -(.015 - .03)(.03 - .02); -(.03 - .01)(.01 - .015)
    np.testing.assert_allclose(middle, [1.5e-4, 1e-4], rtol=1e-12)
    # 0.03 is the high of its own bar and of the next; 0.01 is the low of the next alone.
    np.testing.assert_allclose(loading, [0.25, 0.5], rtol=1e-12)


def test_the_error_of_a_mean_counts_what_hangs_together():
    lone = np.random.default_rng(0).standard_normal(1000)
    mean, error = mean_and_error(lone)
    assert mean == lone.mean()
    assert error == pytest.approx(lone.std() / np.sqrt(1000), rel=0.15)
    # Each value five times: 9 lags with Bartlett's weights over correlations of .8, .6, .4, .2 are
    # 1 + 2 (.9 x .8 + .8 x .6 + .7 x .4 + .6 x .2) = 4.2 times the variance.
    _, error = mean_and_error(np.repeat(lone, 5))
    assert error == pytest.approx(lone.std() * np.sqrt(4.2 / 5000), rel=0.1)


def test_a_bounce_around_a_price_that_stands_still():
    """Closes at +s and -s in turns of two, extremes at 3 s: R = 0 and A = s^2, both by hand."""
    close = 10 * BP * np.tile([1.0, 1.0, -1.0, -1.0], 250)
    high, low = np.full(1000, 30 * BP), np.full(1000, -30 * BP)
    roll, middle, loading = products(high, low, close)
    assert np.mean(roll) == 0
    np.testing.assert_allclose(middle, (10 * BP) ** 2)
    assert (loading == 1).all()
    bars = bars_of(np.concatenate(([0.0], close[:-1])), high, low, close)
    # (A - R / 4) / (1 - 1 / 4), but for the ends of the sample where the turns are cut
    assert found(bars)[0] == pytest.approx(10 / np.sqrt(0.75), rel=1e-3)


@pytest.mark.parametrize("own_open", [False, True])
@pytest.mark.parametrize(
    "planted", [20, *(pytest.param(each, marks=pytest.mark.slow) for each in (10, 50))]
)
def test_a_planted_bounce_is_found(planted, own_open):
    bars = bars_of(*bouncing(planted * BP, own_open=own_open))
    estimate, low = found(bars)
    assert estimate == pytest.approx(planted, rel=0.2)
    assert 0.7 * planted < low < estimate


def test_a_bounce_that_reaches_the_extremes_is_found():
    estimate, low = found(bars_of(*bouncing(20 * BP, wide=True)))
    assert estimate == pytest.approx(20, rel=0.1)
    assert low > 18


def test_missing_bars_do_not_hide_it():
    lost = np.random.default_rng(3).random(12_000) < 0.1
    estimate, low = found(bars_of(*bouncing(20 * BP), keep=~lost))
    assert estimate == pytest.approx(20, rel=0.2)
    assert low > 14


def test_runs_across_a_gap_play_no_part():
    """At each gap the price leaps by a tenth, away and back again."""
    log = np.array(bouncing(20 * BP, num_bars=6000))
    away = np.arange(6000) // 10 % 2 == 1
    keep = np.arange(6000) % 10 != 9
    leaping, steady = (bars_of(*prices, keep=keep) for prices in (log + 0.1 * away, log))
    assert found(leaping) == pytest.approx(found(steady), rel=1e-6)


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(each, marks=pytest.mark.slow) for each in range(2, 8))]
)
def test_a_martingale_has_none(seed):
    estimate, low = found(bars_of(*bouncing(0.0, seed=seed)))
    assert estimate < 6
    assert low == 0


@pytest.mark.parametrize(
    "edge", [1.0, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.0, 0.3))]
)
def test_the_simulated_market_has_none_at_any_edge(edge):
    for seed in range(3):
        assert found(simulated_bars(seed=seed, edge=edge))[1] == 0


@pytest.mark.parametrize(
    "reversal", [0.2, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.05, -0.2))]
)
def test_a_true_reversal_or_momentum_is_no_bounce_and_hides_none(reversal):
    bare = bars_of(*bouncing(0.0, reversal=reversal))
    assert found(bare)[1] == 0  # Roll alone finds 25 bp in a reversal of 0.2
    estimate, low = found(bars_of(*bouncing(20 * BP, reversal=reversal)))
    assert estimate == pytest.approx(20, rel=0.25)
    assert low > 14


def test_bars_of_their_two_prints_alone_leave_it_to_roll():
    open_, _, _, close = bouncing(20 * BP)
    bars = bars_of(open_, np.maximum(open_, close), np.minimum(open_, close), close)
    estimate, low = found(bars)
    assert estimate == pytest.approx(20, rel=0.15)
    assert low > 14
    # By hand, of all closes: the covariance of a return with the one before, without weights.
    step = np.diff(close)
    assert estimate == pytest.approx(np.sqrt(-np.mean(step[1:] * step[:-1])) / BP, rel=0.15)


def test_bars_of_one_print_leave_it_to_roll_too():
    close = bouncing(20 * BP)[3]
    assert found(bars_of(close, close, close, close))[0] == pytest.approx(20, rel=0.15)


def test_too_few_bars_and_a_constant_price_say_nothing():
    still = np.zeros(500)
    few = [side[:120] for side in bouncing(50 * BP)]
    for bars in (bars_of(still, still, still, still), bars_of(*few)):
        estimate, low = found(bars)
        assert np.isnan(estimate)
        assert low == 0
    # The range of 24 bars, two bars later, and 100 runs.
    assert np.isfinite(found(bars_of(*(side[:125] for side in bouncing(50 * BP))))[0])
    assert np.isnan(found(bars_of(*(side[:124] for side in bouncing(50 * BP))))[0])


def test_a_stretch_of_stale_prices_does_not_decide():
    log = np.array(bouncing(20 * BP))
    log[:, 5000:7000] = log[3, 4999]
    assert found(bars_of(*log))[0] == pytest.approx(20, rel=0.35)


def test_each_symbol_has_its_own():
    wide, none = bars_of(*bouncing(30 * BP)), bars_of(*bouncing(0.0, seed=5, num_bars=8000))
    short = Bars.from_frame(wide.frame("close").iloc[:50].pipe(_flat), symbol="short")
    tables = {"wide": wide, "none": none}
    panel = Bars.join(
        [
            *(Bars.from_frame(_table(bars), symbol=name) for name, bars in tables.items()),
            short,
        ]
    )
    spread = implied_half_spread(panel)
    np.testing.assert_array_equal(
        spread.estimate[:2], [implied_half_spread(bars).estimate[0] for bars in (wide, none)]
    )
    assert spread.estimate[0] / BP == pytest.approx(30, rel=0.2)
    assert spread.low[0] > 20 * BP
    assert np.isnan(spread.estimate[2])
    np.testing.assert_array_equal(spread.low[1:], 0)


def _table(bars):
    fields = ("open", "high", "low", "close", "volume")
    return pd.DataFrame({name: getattr(bars, name)[:, 0] for name in fields}, index=bars.index)


def _flat(close):
    price = close.to_numpy()[:, 0]
    names = ("open", "high", "low", "close", "volume")
    return pd.DataFrame(dict.fromkeys(names, price), index=close.index)


def test_more_confidence_is_a_lower_bound():
    bars = bars_of(*bouncing(10 * BP))
    lows = [implied_half_spread(bars, confidence=p).low[0] for p in (0.5, 0.9, 0.99, 0.999)]
    assert lows[0] == implied_half_spread(bars).estimate[0]
    assert (np.diff(lows) < 0).all()
    for wrong in (0.4, 1.0):
        with pytest.raises(ValueError, match=rf"lie in \[0.5, 1\), got {wrong}"):
            implied_half_spread(bars, confidence=wrong)


def test_the_quote_turned_round_has_the_same():
    bars = bars_of(*bouncing(20 * BP))
    there, back = implied_half_spread(bars), implied_half_spread(bars.mirrored())
    assert back.estimate[0] == pytest.approx(there.estimate[0], rel=1e-6)
    assert back.low[0] == pytest.approx(there.low[0], rel=1e-6)
