import numpy as np
import pandas as pd
import pytest

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.market.volatility import decay_warmup, ewma_volatility, ewma_volatility_nb


@pytest.mark.parametrize("halflife", [1.0, 24.0, 96.0])
def test_it_is_pandas_ewm_of_squared_returns(halflife):
    bars = simulated_bars(seed=3, bars=4000)
    squares = np.log(bars.frame("close")["SIM/USDT"]).diff().pow(2)
    oracle = np.sqrt(squares.ewm(halflife=halflife, adjust=False, ignore_na=True).mean())
    ours = ewma_volatility(bars, halflife=halflife)[:, 0]
    there = np.isfinite(ours)
    assert there.sum() > 1500
    np.testing.assert_allclose(ours[there], oracle[there], rtol=1e-12)


def test_the_first_value_comes_once_the_starting_value_weighs_under_a_millionth():
    decay = 0.5 ** (1 / 24)
    warmup = decay_warmup(decay)
    assert decay**warmup <= 1e-6 < decay ** (warmup - 1)
    sigma = ewma_volatility(simulated_bars(bars=1000), halflife=24)[:, 0]
    # one return for the start, then `warmup` decays of it, and a return needs two closes
    assert np.flatnonzero(np.isfinite(sigma))[0] == warmup + 1


def test_an_absent_bar_is_nan_and_walked_over():
    bars = simulated_bars(seed=1, bars=900)
    hole = [*range(600), *range(605, 900)]
    frames = {
        "whole": pd.DataFrame(
            {f: bars.frame(f)["SIM/USDT"] for f in ("open", "high", "low", "close", "volume")}
        )
    }
    frames["holed"] = frames["whole"].iloc[hole]
    panel = Bars.from_frames(frames)
    alone = Bars.from_frame(frames["holed"])
    sigma = ewma_volatility(panel, halflife=12)
    assert np.isnan(sigma[600:605, 1]).all()
    np.testing.assert_array_equal(sigma[hole, 1], ewma_volatility(alone, halflife=12)[:, 0])
    np.testing.assert_array_equal(sigma[:, 0], ewma_volatility(bars, halflife=12)[:, 0])


def test_the_compiled_kernel_is_the_plain_function():
    log_close = np.log(simulated_bars(bars=300).close)
    plain = ewma_volatility_nb.py_func(log_close, 0.9, 20)
    np.testing.assert_allclose(ewma_volatility_nb(log_close, 0.9, 20), plain, rtol=1e-13)


def test_later_bars_change_nothing_before_them():
    bars = simulated_bars(bars=800)
    sigma = ewma_volatility(bars, halflife=12)
    changed = np.log(bars.close)
    changed[500:] += 3.0
    after = ewma_volatility_nb(changed, 0.5 ** (1 / 12), decay_warmup(0.5 ** (1 / 12)))
    np.testing.assert_array_equal(after[:500], sigma[:500])
    assert not np.array_equal(after[500:], sigma[500:])


@pytest.mark.parametrize("halflife", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_halflife_is_refused(halflife):
    with pytest.raises(ValueError, match=r"halflife must be finite and at least 0.1 bars"):
        ewma_volatility(simulated_bars(bars=10), halflife=halflife)
