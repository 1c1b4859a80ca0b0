"""Funding rates of a file's rows that become no bars: they are due at the next one."""

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.errors import InputError
from convnext_vbt.market.files import read_file

HOURS = pd.date_range("2024-01-01", periods=24 * 14, freq="h", tz="UTC")


def table(rates, index=HOURS):
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(index))))
    opened = np.append(100.0, close[:-1])
    values = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
        "volume": rng.uniform(1, 2, len(index)),
        "funding_rate": np.full(len(index), np.nan),
    }
    made = pd.DataFrame(values, index=index.rename("timestamp"))
    for row, rate in rates.items():
        made.loc[index[row], "funding_rate"] = rate
    return made


def read(folder, made):
    made.to_csv(folder / "perp.csv")
    report = read_file(folder / "perp.csv")
    rates = pd.Series(report.bars.funding[:, 0], index=report.bars.index).dropna()
    return rates, [str(change) for change in report.changes]


def at(rates):
    return {int((when - HOURS[0]) / pd.Timedelta(hours=1)): rate for when, rate in rates.items()}


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_rates_of_rows_without_a_price(tmp_path, order):
    made = table({0: 1e-4, 8: 2e-4, 9: 4e-4, 16: 8e-4, 335: 16e-4})
    made.loc[HOURS[[0, 8, 9, 20, 335]], ["open", "high", "low", "close", "volume"]] = np.nan
    rates, changes = read(tmp_path, made[::order])
    assert at(rates) == pytest.approx({1: 1e-4, 10: 6e-4, 16: 8e-4})
    assert any("3 funding rate(s) of such rows are due at the next bar" in one for one in changes)


def test_rates_of_a_closed_weekend(tmp_path):
    made = table({5 * 24 + 8: 1e-4, 6 * 24: 2e-4, 7 * 24: 4e-4})
    closed = HOURS.day_of_week >= 5
    prices = ["open", "high", "low", "close"]
    for first in (5 * 24, 12 * 24):
        weekend = HOURS[first : first + 48]
        made.loc[weekend, prices] = made["close"].iloc[first - 1]
    made.loc[HOURS[closed], "volume"] = 0.0
    rates, changes = read(tmp_path, made)
    assert any("on closed weekends left out" in one for one in changes)
    assert at(rates) == pytest.approx({7 * 24: 7e-4})


@pytest.mark.parametrize("rate_is_in", [0, 1])
def test_of_a_row_that_is_there_twice_the_rate_is_kept(tmp_path, rate_is_in):
    made = table({8: 3e-4})
    twice = pd.concat([made.iloc[[8]], made.iloc[[8]]])
    twice.iloc[1 - rate_is_in, -1] = np.nan
    rates, changes = read(tmp_path, pd.concat([made.iloc[:8], twice, made.iloc[9:]]))
    assert at(rates) == {8: 3e-4}
    assert any("exact duplicate row(s) dropped" in one for one in changes)


def test_two_rates_of_one_time_are_refused(tmp_path):
    made = table({8: 3e-4})
    other = made.iloc[[8]].assign(funding_rate=5e-4)
    message = r"row at line 10: 2024-01-01 08:00.* different funding rates, 0.0003 and 0.0005"
    with pytest.raises(InputError, match=message):
        read(tmp_path, pd.concat([made.iloc[:9], other, made.iloc[9:]]))


def test_a_file_without_rates_has_none(tmp_path):
    made = table({}).drop(columns="funding_rate")
    made.iloc[5, :] = np.nan
    made.to_csv(tmp_path / "spot.csv")
    assert read_file(tmp_path / "spot.csv").bars.funding is None
