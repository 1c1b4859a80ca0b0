from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from convnext_vbt.evidence.when.exposure import Exposure, Rolling
from tests.evidence.when.books import account_of, day_returns, walk

INDEX = pd.date_range("2022-01-01", periods=4, freq="D", tz="UTC")
CLOSE = np.array([[10.0, 50.0], [11.0, np.nan], [9.0, 40.0], [10.0, 40.0]])


class Market(SimpleNamespace):
    def __len__(self):
        return len(self.close)


def simulated(position, inverse=(False, False)):
    columns = pd.MultiIndex.from_tuples([(0.5, "B"), (0.5, "A")], names=["threshold", "symbol"])
    return SimpleNamespace(
        position=np.asarray(position, dtype=float), columns=columns, inverse=np.array(inverse)
    )


BARS = Market(symbols=("A", "B"), close=CLOSE)


def test_exposure_by_hand_with_columns_in_another_order_and_an_absent_bar():
    position = [[0, 0], [1, -5], [-1, 2], [0, 0]]  # of B, of A
    account = account_of([100.0, 200.0, 50.0, 0.0], INDEX)
    found = Exposure.of(simulated(position), account, BARS)
    # Bar 1: B has no bar and is worth its last close, 50; A is short 5 x 11.
    np.testing.assert_allclose(found.gross[:3], [0, (50 + 55) / 200, (40 + 18) / 50])
    np.testing.assert_allclose(found.net[:3], [0, (50 - 55) / 200, (-40 + 18) / 50])
    assert np.isnan([found.gross[3], found.net[3]]).all()
    facts = found.to_dict()
    assert facts["mean_gross"] == pytest.approx((105 / 200 + 58 / 50) / 3)
    assert facts["max_gross"] == pytest.approx(58 / 50)
    assert (facts["bars_net_long"], facts["bars_net_short"]) == (0, 0.5)


def test_the_long_of_an_inverse_contract_is_positive():
    position = np.zeros((4, 2))
    position[1:3, 1] = -22.0  # of A: short of the quote currency, so long of the coin
    found = Exposure.of(
        simulated(position, (False, True)), account_of(np.full(4, 100.0), INDEX), BARS
    )
    np.testing.assert_allclose(found.net, [0, 22 / 11 / 100, 22 / 9 / 100, 0])
    np.testing.assert_allclose(found.gross, found.net)


def test_rolling_figures_against_pandas_and_scipy():
    account, hold = walk(130, seed=1), walk(130, seed=2)
    own, other = day_returns(account), day_returns(hold)
    hours = np.arange(len(account.index)) / 1000
    exposure = Exposure(gross=hours, net=-hours, held=hours > 1)
    found = Rolling.of(exposure, own.to_numpy(), other.to_numpy(), account.index, 365)
    assert pd.to_datetime(found.days, unit="D", utc=True).equals(own.index.as_unit("s"))
    windows = own.rolling(90)
    np.testing.assert_allclose(found.volatility, windows.std() * 365**0.5, rtol=1e-9)
    np.testing.assert_allclose(found.sharpe, windows.mean() / windows.std() * 365**0.5, rtol=1e-9)
    np.testing.assert_allclose(found.beta, windows.cov(other) / other.rolling(90).var(), rtol=1e-9)
    assert found.beta[-1] == pytest.approx(stats.linregress(other[-90:], own[-90:]).slope)
    mean = pd.Series(hours, account.index).resample("D").mean()
    np.testing.assert_allclose(found.gross, mean)
    np.testing.assert_allclose(found.net, -mean)
    facts = {name: one["beta"] for name, one in found.to_dict().items()}
    assert facts == {
        "lowest": np.nanmin(found.beta), "highest": np.nanmax(found.beta), "last": found.beta[-1]
    }  # fmt: skip


def test_fewer_than_ninety_days_have_no_rolling_figure():
    account = walk(89)
    own = day_returns(account).to_numpy()
    none = np.zeros(len(account.index))
    found = Rolling.of(Exposure(gross=none, net=none, held=none > 0), own, own, account.index, 365)
    assert np.isnan([found.volatility, found.beta, found.sharpe]).all()
    assert np.isnan([one["volatility"] for one in found.to_dict().values()]).all()
