import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import DRIFT, FOOTPRINT, simulated_bars, walk_nb

SEEDS = range(6)
NONE = [simulated_bars(seed=seed, edge=0) for seed in SEEDS]
PLANTED = [simulated_bars(seed=seed, edge=1) for seed in SEEDS]


def test_the_default_is_two_years_of_hours():
    bars = simulated_bars()
    assert (len(bars), bars.symbols, bars.bars_per_year) == (17_520, ("SIM/USDT",), 8760)
    assert str(bars.index[0]) == "2022-01-01 00:00:00+00:00"
    assert bars.open[0, 0] == pytest.approx(30_000, rel=0.01)
    assert bars.fingerprint() == PLANTED[0].fingerprint()


def test_seed_and_edge_shape_it_and_nothing_else():
    prints = {
        simulated_bars(seed=s, edge=e, bars=200).fingerprint() for s in (0, 1) for e in (0, 1)
    }
    assert len(prints) == 4
    again = simulated_bars(seed=1, edge=1, bars=200).fingerprint()
    assert again in prints


@pytest.mark.parametrize("bars", NONE + PLANTED)
def test_prices_are_cents_and_each_bar_opens_near_the_last_close(bars):
    for field in ("open", "high", "low", "close"):
        cents = getattr(bars, field) * 100
        assert np.abs(cents - np.round(cents)).max() < 1e-4
    gap = np.abs(bars.open[1:] / bars.close[:-1] - 1)
    move = np.abs(bars.close / bars.open - 1)
    assert 0 < gap.mean() < 0.03 * move.mean()


def returns(bars: Bars) -> np.ndarray:
    return np.diff(np.log(bars.close[:, 0]))


def autocorrelation(values: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def variance_ratio(bars: Bars, horizon: int) -> float:
    sums = np.diff(np.log(bars.close[::horizon, 0]))
    return float(sums.var() / (horizon * returns(bars).var()))


@pytest.mark.parametrize("markets", [NONE, PLANTED], ids=["edge0", "edge1"])
def test_the_stylised_facts_of_hourly_bitcoin_hold(markets):
    volatility = [100 * returns(bars).std() for bars in markets]
    assert 0.5 < np.median(volatility) < 0.7
    assert 0.4 < min(volatility) < max(volatility) < 0.9

    kurtosis = [pd.Series(returns(bars)).kurt() + 3 for bars in markets]
    assert 8 < np.median(kurtosis) < 20
    assert min(kurtosis) > 6

    size = [np.abs(returns(bars)) for bars in markets]
    clustering = [np.mean([autocorrelation(s, lag) for s in size]) for lag in (1, 24, 168, 720)]
    assert clustering == sorted(clustering, reverse=True)
    assert 0.18 < clustering[0] < 0.35
    assert 0.05 < clustering[2] < 0.2
    assert clustering[3] > 0.02

    volume = [
        np.corrcoef(np.log(bars.volume[1:, 0]), np.log(s + 1e-5))[0, 1]
        for bars, s in zip(markets, size, strict=True)
    ]
    assert 0.4 < min(volume) < max(volume) < 0.7


@pytest.mark.parametrize("bars", NONE)
def test_afternoons_are_busier_and_weekends_quieter(bars):
    size = pd.Series(np.abs(returns(bars)), index=bars.index[1:])
    by_hour = size.groupby(size.index.hour).mean()
    assert 1.4 < by_hour.max() / by_hour.min() < 2.2
    assert by_hour.loc[12:18].mean() > 1.2 * by_hour.loc[0:6].mean()
    weekend = size.index.day_of_week >= 5
    assert 0.7 < size[weekend].mean() / size[~weekend].mean() < 0.95


def test_without_an_edge_returns_have_no_memory():
    assert abs(np.mean([autocorrelation(returns(bars), 1) for bars in NONE])) < 0.02
    assert 0.9 < np.mean([variance_ratio(bars, 24) for bars in NONE]) < 1.1
    # The planted regime lasts for days and adds up.
    assert np.mean([variance_ratio(bars, 24) for bars in PLANTED]) > 1.2


ALWAYS, NEVER = 0.0, 1.0


def final_prices(edge: float, *, regime: int, jump: float | None, paths: int = 12_000):
    """P_T / P_0 of many short markets that stay in one regime, before rounding (paths,)."""
    rng = np.random.default_rng(12345)
    bars = 240 if jump is None else 10
    ends = np.empty(paths)
    for path in range(paths):
        uniform = rng.random((bars, 4))
        uniform[:, 2] = NEVER  # no change of regime
        uniform[0, 3] = (regime + 1.5) / 3
        if jump is not None:
            uniform[:, 0] = jump
        inner, normal = rng.standard_normal((bars, 4)), rng.standard_normal((bars, 5))
        ends[path] = walk_nb(inner, normal, uniform, edge)[-1, 3]
    return np.exp(ends)


@pytest.mark.parametrize(
    ("regime", "jump"),
    [(1, None), pytest.param(-1, None, marks=pytest.mark.slow), (0, ALWAYS)],
    ids=["up", "down", "jumps"],
)
def test_without_an_edge_the_price_is_a_martingale(regime, jump):
    ends = final_prices(0.0, regime=regime, jump=jump)
    error = ends.std() / np.sqrt(len(ends))
    assert error < 0.002
    assert abs(ends.mean() - 1) < 2.5 * error


def test_the_edge_is_the_planted_drift():
    up, down = (np.log(final_prices(1.0, regime=r, jump=None, paths=2000)) for r in (1, -1))
    none = np.log(final_prices(0.0, regime=1, jump=None, paths=2000))
    # 240 bars of 0.18 standard deviations, each about 0.0050 in the middle of the distribution
    assert np.median(up - none) == pytest.approx(240 * DRIFT * 0.0050, rel=0.1)
    np.testing.assert_allclose(up - none, none - down, rtol=1e-9)


def test_without_an_edge_no_strategy_on_price_and_volume_earns():
    """The regime is still in the volume: following it must earn nothing."""
    t_statistics = []
    for bars in NONE:
        position, step = np.sign(signed_volume(bars))[:-2], np.diff(bars.open[:, 0])[1:]
        pnl = position * step / bars.open[1:-1, 0]
        t_statistics.append(pnl.mean() / pnl.std() * np.sqrt(len(pnl)))
    assert abs(np.mean(t_statistics)) < 2.5 / np.sqrt(len(NONE))


def signed_volume(bars: Bars, halflife: float = 12) -> np.ndarray:
    """Is volume heavier on the way up? (T,)"""
    move = np.log(bars.close[:, 0] / bars.open[:, 0])
    scaled = pd.Series(move / pd.Series(move).ewm(halflife=24).std().to_numpy())
    volume = pd.Series(np.log(bars.volume[:, 0]))
    surplus = volume - volume.rolling(48).mean() - 0.3 * scaled.abs().clip(upper=4)
    product = (np.tanh(scaled) * surplus).fillna(0)
    return product.ewm(halflife=halflife).mean().to_numpy()


def next_day(bars: Bars) -> np.ndarray:
    """Log return from the next open over 24 hours, NaN at the end (T,)"""
    out = np.full(len(bars), np.nan)
    out[:-25] = np.log(bars.open[25:, 0] / bars.open[1:-24, 0])
    return out


def direction_auc(bars: Bars, score: np.ndarray) -> float:
    ahead = next_day(bars)
    known = np.isfinite(ahead) & (np.arange(len(bars)) > 500)
    return float(roc_auc_score(ahead[known] > 0, score[known]))


def trends(bars: Bars) -> list[np.ndarray]:
    scaled = pd.Series(np.r_[0.0, returns(bars)])
    scaled /= scaled.ewm(halflife=24).std().shift().bfill()
    return [scaled.ewm(halflife=halflife).mean().to_numpy() for halflife in (3, 6, 12, 24, 48)]


def test_with_the_edge_volume_tells_more_than_the_best_moving_average_in_hindsight():
    average = [max(direction_auc(bars, trend) for trend in trends(bars)) for bars in PLANTED]
    volume = [direction_auc(bars, signed_volume(bars)) for bars in PLANTED]
    assert 0.60 < np.mean(average) < 0.70
    assert np.mean(volume) > np.mean(average) + 0.03


def test_price_and_volume_together_hold_out_of_sample():
    scores = []
    for bars in PLANTED:
        inputs = np.column_stack([*trends(bars), *(signed_volume(bars, h) for h in (6, 12, 24))])
        ahead, half = next_day(bars), len(bars) // 2
        past, future = slice(500, half - 25), slice(half, -25)
        model = LinearRegression().fit(inputs[past], ahead[past])
        scores.append(roc_auc_score(ahead[future] > 0, model.predict(inputs[future])))
    assert 0.66 < np.mean(scores) < 0.77


def test_the_decoy_is_in_the_volume_at_every_edge():
    assert FOOTPRINT > 0
    spread = {
        name: np.mean([signed_volume(bars)[500:].std() for bars in markets])
        for name, markets in (("none", NONE), ("planted", PLANTED))
    }
    assert spread["none"] == pytest.approx(spread["planted"], rel=0.2)


def test_the_compiled_walk_is_the_plain_function():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((80, 6)), rng.standard_normal((80, 5)), rng.random((80, 4)), 1.0
    np.testing.assert_allclose(walk_nb(*inputs), walk_nb.py_func(*inputs), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, r"seed must be >= 0, got -1"),
        ({"edge": -0.1}, r"edge must lie in \[0, 3\] .*got -0.1"),
        ({"edge": np.nan}, r"edge must lie in .*got nan"),
        ({"bars": 1}, r"bars must lie in \[2, 200,000\], got 1"),
        ({"bars": 200_001}, r"got 200,001"),
    ],
)
def test_impossible_markets_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulated_bars(**arguments)
