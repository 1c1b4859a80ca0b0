import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.when import periods
from tests.evidence.when.books import account_of, closed_trades, day_returns, series, walk


def test_years_against_pandas():
    account, hold = walk(500, seed=1, start="2021-11-20"), walk(500, seed=2, start="2021-11-20")
    entries = closed_trades((5, 6, 1.0), (24 * 42 - 1, 24 * 43, 1.0), (24 * 42, 24 * 43, 1.0))
    found = periods.years(account_of(account.equity, account.index, entries), hold, 365)
    assert found["year"].tolist() == [2021, 2022, 2023]
    assert found["trades"].tolist() == [2, 1, 0]  # 42 days of 2021
    for one, prefix in ((account, ("total_return", "sharpe", "max_drawdown")),
                        (hold, ("hold_return", "hold_sharpe", "hold_drawdown"))):  # fmt: skip
        last = series(one).groupby(one.index.year).last()
        before = last.shift(1, fill_value=100.0)
        days = day_returns(one).groupby(lambda day: day.year)
        depth = [
            (own / np.maximum(own.cummax(), before[year]) - 1).min()
            for year, own in series(one).groupby(one.index.year)
        ]
        wanted = (last / before - 1, days.mean() / days.std() * 365**0.5, depth)
        for name, values in zip(prefix, wanted, strict=True):
            np.testing.assert_allclose(found[name], values, rtol=1e-9, err_msg=name)


def test_the_best_and_the_worst_day_week_and_month_against_pandas():
    account = walk(100, seed=3)
    found = periods.extremes(account).set_index("period")
    for period, rule in (("day", "D"), ("week", "W-SUN"), ("month", "M")):
        own = series(account)
        own.index = own.index.tz_localize(None).to_period(rule)
        last = own.groupby(level=0).last()
        returns = last / last.shift(1, fill_value=100.0) - 1
        row = found.loc[period]
        assert (row["best"], row["worst"]) == pytest.approx((returns.max(), returns.min()))
        for name, when in (("best", returns.idxmax()), ("worst", returns.idxmin())):
            start = max(when.start_time.tz_localize("UTC"), account.index[0])
            assert row[f"{name}_from"] == str(start.date())


def test_an_account_that_never_moved_has_no_best_day():
    index = pd.date_range("2022-01-01", periods=100, freq="h", tz="UTC")
    found = periods.extremes(account_of(np.full(100, 100.0), index))
    assert found[["best", "worst"]].isna().all(axis=None)
    assert found["best_from"].isna().all()


def test_a_period_after_all_is_lost_has_no_return():
    index = pd.date_range("2022-01-01", periods=72, freq="h", tz="UTC")
    found = periods.extremes(account_of(np.repeat([100.0, 0.0, 0.0], 24), index))
    day = found.iloc[0]
    assert (day["best"], day["worst"], day["worst_from"]) == (0.0, -1.0, "2022-01-02")


def test_a_crisis_counts_where_the_window_holds_all_of_it():
    account, hold = walk(60, seed=4, start="2022-10-01"), walk(60, seed=5, start="2022-10-01")
    found = periods.crises(account, hold, 365)
    assert found["crisis"].tolist() == ["FTX"]
    for one, name in ((account, "total_return"), (hold, "hold_return")):
        own = series(one)
        change = own[:"2022-11-21"].iloc[-1] / own[:"2022-11-05"].iloc[-1] - 1
        assert found[name].item() == pytest.approx(change)
    begun_inside, ended_inside = walk(60, start="2022-11-07"), walk(51, start="2022-10-01")
    for part in (begun_inside, ended_inside):
        assert periods.crises(part, part, 365).empty


def test_crises_are_days_in_order():
    for _, first, last in periods.CRISES:
        assert pd.Timestamp(first) <= pd.Timestamp(last)
    assert [first for _, first, _ in periods.CRISES] == sorted(one[1] for one in periods.CRISES)
