"""From running sums to metrics, where a whole simulation would hardly come to the case."""

import numpy as np
import pytest

from convnext_vbt.trading import kernel
from convnext_vbt.trading.metrics import cell_metrics


def sums_of(returns):
    """An account's running sums as the kernel leaves them, for these daily returns."""
    row = np.zeros(100)
    equity = 10_000.0 * np.prod(1 + returns)
    row[[kernel.DAYS, kernel.TRADES, kernel.CLOSED]] = len(returns), 1, 1
    row[[kernel.EQUITY, kernel.EQUITY_SUM]] = equity, 10_000.0 * 24 * len(returns)
    row[kernel.DAY_MEAN] = returns.mean()
    row[kernel.DAY_SQUARES] = ((returns - returns.mean()) ** 2).sum()
    row[kernel.DAY_DOWNSIDE] = (np.minimum(returns, 0) ** 2).sum()
    return row


def test_the_same_cost_every_day_is_no_sharpe_ratio():
    rounding = 1e-18 * np.random.default_rng(0).standard_normal(40)
    calm = -1e-4 + 1e-9 * np.random.default_rng(1).standard_normal(40)
    rows = np.stack([sums_of(-1e-4 + rounding), sums_of(calm)])
    metrics = cell_metrics(
        rows, init_cash=10_000.0, num_bars=960, years=960 / 8_760, days_per_year=365
    )
    assert np.isnan(metrics["sharpe"][0])
    expected = calm.mean() / calm.std(ddof=1) * 365**0.5
    assert metrics["sharpe"][1] == pytest.approx(expected, rel=1e-6)
