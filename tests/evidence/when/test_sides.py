import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.when import sides
from convnext_vbt.trading.codes import CLOSED, OPEN
from tests.evidence.when.books import closed_trades, trades_of

INDEX = pd.date_range("2022-01-01", periods=96, freq="h", tz="UTC")
TRADES = trades_of(
    (0, 12, 5.0, "take-profit", CLOSED),
    (2, 26, -2.0, "stop", CLOSED),
    (30, 36, 1.0, "signal", CLOSED),
    (40, 95, -4.0, "open", OPEN),
    (50, 53, -3.0, "stop", CLOSED),
)
SHORT = np.array([False, True, False, False, False])


def test_longs_and_shorts_by_hand():
    found = sides.by_side(TRADES, SHORT, INDEX, np.array([12, 24, 6, 55, 3]))
    long, short = found.to_dict("records")
    assert long == {
        "side": "long", "trades": 4, "win_rate": pytest.approx(2 / 3), "profit": -1.0,
        "profit_factor": pytest.approx(6 / 3), "mean_trade": pytest.approx(0.01),
        "mean_days": pytest.approx((12 + 6 + 55 + 3) / 4 / 24), "mean_bars": 19.0,
    }  # fmt: skip
    assert (short["trades"], short["win_rate"], short["mean_days"]) == (1, 0.0, 1.0)


def test_a_side_without_trades_is_undefined_not_zero():
    _, short = sides.by_side(TRADES, SHORT & False, INDEX, np.ones(5)).to_dict("records")
    assert (short["trades"], short["profit"]) == (0, 0.0)
    rest = ("win_rate", "profit_factor", "mean_trade", "mean_days", "mean_bars")
    assert np.isnan([short[name] for name in rest]).all()


def test_exits_by_hand():
    found = sides.by_exit(TRADES, SHORT).to_dict("split")["data"]
    assert [row[:4] for row in found] == [
        ["open", "long", 1, -4.0], ["signal", "long", 1, 1.0], ["stop", "long", 1, -3.0],
        ["stop", "short", 1, -2.0], ["take-profit", "long", 1, 5.0],
    ]  # fmt: skip
    assert sum(row[3] for row in found) == TRADES["pnl"].sum()


def test_streaks_follow_the_exits_and_leave_open_trades_out():
    rows = ((0, 90, 1.0), (3, 4, -1.0), (5, 6, 0.0), (7, 8, -1.0), (9, 10, 2.0))
    found = sides.rhythm(closed_trades(*rows), np.zeros(5, dtype=int), 4)
    assert (found.most_wins, found.most_losses) == (2, 1)  # what won and lost nothing parts losses
    found = sides.rhythm(TRADES, np.array([0, 0, 1, 1, 2]), 4)
    assert (found.most_wins, found.most_losses) == (1, 1)  # the open one's loss is no loss yet


def test_clusters_against_pandas():
    day = np.random.default_rng(0).integers(0, 35, 120) // 3
    trades = closed_trades(*((0, 1, 1.0) for _ in day))
    found = sides.rhythm(trades, day, 35)
    counts = pd.Series(day).value_counts().reindex(range(35), fill_value=0)
    assert found.busiest_days == 4
    assert found.busiest_share == counts.nlargest(4).sum() / 120
    assert found.dispersion == pytest.approx(counts.var() / counts.mean())


def test_no_trade_at_all():
    found = sides.rhythm(TRADES[:0], np.zeros(0, dtype=int), 4)
    assert (found.most_wins, found.most_losses) == (0, 0)
    assert np.isnan([found.busiest_share, found.dispersion]).all()
    assert sides.by_exit(TRADES[:0], SHORT[:0]).empty
