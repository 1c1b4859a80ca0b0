"""The sweep's metrics against vectorbt and pandas, its cells against the simulation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt  # noqa: F401  (registers the accessors)

from convnext_vbt.errors import AssumedTargetWarning, InputError, InputTypeError, StillPriceWarning
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.predictions import Predictions, Target
from convnext_vbt.trading import cells
from convnext_vbt.trading.brackets import fixed_brackets, target_brackets
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.rules import RuleConfig, confidence_signals
from convnext_vbt.trading.simulation import Simulation, simulate_signals
from convnext_vbt.trading.sweep import TOTAL, SweepConfig, prediction_window, sweep

from .markets import TARGET, random_bars, random_predictions, random_signals

BARS = random_bars(num_bars=2_000, seed=11)
PREDS = random_predictions(BARS, seed=11)
PANEL = random_bars(num_bars=1_500, seed=12, symbols=("A", "B"), missing=0.03)
PANEL_PREDS = random_predictions(PANEL, seed=12)


@pytest.fixture(scope="module")
def result():
    return sweep(
        BARS,
        PREDS,
        threshold=[0.4, "q0.50", 0.5],
        risk=[0.02, 0.005, 0.2],
        stop_multiple=[1.0, 2.0],
    )


def daily_equity(simulation: Simulation) -> pd.Series:
    equity = pd.Series(simulation.equity[:, 0], index=simulation.index)
    return pd.concat([pd.Series([simulation.init_cash]), equity.resample("1D").last()])


CELLS = [
    {"threshold": 0.4, "risk": 0.02, "stop_multiple": 1.0},
    {"threshold": "q0.50", "risk": 0.005, "stop_multiple": 2.0},
    {"threshold": 0.5, "risk": 0.2, "stop_multiple": 1.0},
]


@pytest.mark.parametrize("cell", CELLS)
def test_metrics_are_vectorbts(result, cell):
    row = result.metrics.loc[(*cell.values(), "A")]
    portfolio = result.portfolio(**cell)
    days = daily_equity(result.simulation(**cell)).pct_change().dropna()
    returns = days.vbt.returns(freq="1D", year_freq="365 days")
    closed = portfolio.trades.closed
    expected = {
        "total_return": portfolio.total_return(),
        "volatility": returns.annualized_volatility(),
        "sharpe": returns.sharpe_ratio(),
        "sortino": returns.sortino_ratio(),
        "max_drawdown": portfolio.max_drawdown(),
        "trades": portfolio.trades.count(),
        "win_rate": closed.win_rate(),
        "profit_factor": closed.profit_factor(),
        "mean_trade": closed.returns.mean(),
        "cagr": portfolio.annualized_return(year_freq="365 days"),
        "calmar": portfolio.calmar_ratio(year_freq="365 days"),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("cell", CELLS)
def test_metrics_are_what_pandas_computes(result, cell):
    row = result.metrics.loc[(*cell.values(), "A")]
    done = result.simulation(**cell)
    equity = np.r_[10_000, done.equity[:, 0]]
    days = daily_equity(done).pct_change().dropna()
    years = len(done.index) / 8_760
    orders, trades = done.orders_frame(), done.trades
    raw = orders["price"] / np.where(orders["side"] == "Buy", 1.0002, 0.9998)
    cagr = (equity[-1] / 10_000) ** (1 / years) - 1
    expected = {
        "cagr": cagr,
        "log_growth": np.log(equity[-1] / 10_000) / years,
        "volatility": days.std() * np.sqrt(365),
        "sharpe": days.mean() / days.std() * np.sqrt(365),
        "sortino": days.mean() / np.sqrt((days.clip(upper=0) ** 2).mean()) * np.sqrt(365),
        "max_drawdown": (equity / np.maximum.accumulate(equity) - 1).min(),
        "exposure": (done.position != 0).mean(),
        "turnover": (orders["size"] * orders["price"]).sum() / equity[1:].mean() / years,
        "costs": orders["fees"].sum() + (orders["size"] * (orders["price"] - raw).abs()).sum(),
        "capped_share": trades["capped"].mean(),
        "gap_stops": (trades["reason"] == 4).sum(),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-9), name
    assert not row["bust"]


@pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")
def test_refused_entries_are_a_column_only_where_there_is_a_least_size(result):
    assert "refused" not in result.metrics
    free = sweep(BARS, PREDS, threshold=0.5, risk=0.02, instruments={"A": Instrument(tick=1e-4)})
    assert "refused" not in free.metrics
    least = {"A": Instrument(min_notional=1_500.0)}
    found = sweep(BARS, PREDS, threshold=[0.4, 0.5], risk=[0.005, 0.02], instruments=least)
    assert found.metrics["refused"].dtype == np.int64
    for (threshold, risk, _), row in found.metrics.iterrows():
        done = found.simulation(threshold=threshold, risk=risk)
        assert row["refused"] == done.refused.sum()
    counts = found.metrics["refused"].to_numpy()
    assert counts.min() < counts.max()


@pytest.mark.parametrize("key", ["borrow", "interest"])
def test_what_is_borrowed_is_funding_in_the_table_and_the_simulation_alike(key):
    terms = {"threshold": 0.4, "risk": 0.2, "max_leverage": 5.0}
    found = sweep(BARS, PREDS, instruments={"A": Instrument(**{key: 0.5})}, **terms)
    paid = found.simulation().funding.sum()
    assert paid > 0
    assert found.metrics["funding"].item() == pytest.approx(paid)
    free = sweep(BARS, PREDS, instruments={"A": Instrument()}, **terms)
    assert "funding" not in free.metrics
    assert free.simulation().funding is None


def test_refused_entries_of_a_panel_add_up_to_the_accounts():
    lots = {"default": Instrument(lot=40.0), "B": Instrument()}
    metrics = sweep(PANEL, PANEL_PREDS, threshold=0.4, risk=0.02, instruments=lots).metrics
    counts = metrics["refused"].droplevel(["threshold", "risk"])
    assert counts["A"] > counts["B"]
    assert counts[TOTAL] == counts["A"] + counts["B"]


def test_the_cells_above_reach_what_they_should_test(result):
    assert (result.metrics["capped_share"] > 0.9).any()
    assert (result.metrics["gap_stops"] > 0).any()
    assert (result.metrics["trades"] > 50).all()


def test_index_has_the_levels_that_vary_and_the_symbol_last(result):
    assert result.metrics.index.names == ["threshold", "risk", "stop_multiple", "symbol"]
    assert len(result.metrics) == 3 * 3 * 2
    assert result.metrics.index[1] == (0.4, 0.02, 2.0, "A")
    plain = sweep(BARS, PREDS, threshold=0.4, risk=0.01, hysteresis=[0.0, 0.1])
    assert plain.metrics.index.names == ["threshold", "hysteresis", "risk", "symbol"]


def test_panel_cells_are_one_account_and_what_each_symbol_earned_in_it():
    both = sweep(
        PANEL,
        PANEL_PREDS,
        threshold=[0.4, 0.45],
        risk=[0.01, 0.02],
        stop_multiple=1.5,
        take_profit_multiple=[1.0, 1.5],
    )
    assert both.metrics.index.names == ["threshold", "risk", "take_profit_multiple", "symbol"]
    assert both.metrics.index.get_level_values("symbol").tolist() == [TOTAL, "A", "B"] * 8
    assert both.account_metrics.index.equals(
        both.metrics.xs(TOTAL, level=3, drop_level=False).index
    )
    assert both.account_returns.columns.tolist() == [(0.4, TOTAL), (0.45, TOTAL)]
    cell = {"threshold": 0.45, "risk": 0.02, "take_profit_multiple": 1.5}
    whole = both.simulation(**cell)
    assert whole.equity.shape == (950, 1)
    assert whole.columns.tolist() == [(0.45, "A"), (0.45, "B")]
    rows = both.metrics.loc[tuple(cell.values())]
    for symbol in (TOTAL, "A", "B"):
        one = both.simulation(**cell, symbol=symbol)
        if symbol != TOTAL:
            assert one.columns.tolist() == [(0.45, symbol)]
        row = rows.loc[symbol]
        assert one.equity[-1, 0] / 10_000 - 1 == pytest.approx(row["total_return"], rel=1e-9)
        assert len(one.trades) == row["trades"] > 0
        daily = daily_equity(one).pct_change().dropna()
        assert row["sharpe"] == pytest.approx(daily.mean() / daily.std() * 365**0.5, rel=1e-9)
        fall = (one.equity[:, 0] / np.maximum(np.maximum.accumulate(one.equity[:, 0]), 1e4)).min()
        assert row["max_drawdown"] == pytest.approx(fall - 1, rel=1e-9)
        assert row["exposure"] == (one.position != 0).any(axis=1).mean()
    for name in ("total_return", "trades", "costs", "gap_stops"):
        assert rows.loc[["A", "B"], name].sum() == pytest.approx(rows.loc[TOTAL, name], rel=1e-9)
    portfolio = both.portfolio(**cell)
    assert portfolio.cash_sharing
    assert portfolio.value().to_numpy().ravel() == pytest.approx(whole.equity[:, 0], rel=1e-9)


def test_days_of_a_panel_are_those_of_its_cells():
    both = sweep(PANEL, PANEL_PREDS, threshold=[0.4, 0.45], risk=[0.01, 0.02])
    for key in both.daily_returns.columns:
        one = both.simulation(threshold=key[0], symbol=key[1], risk=0.01)
        own = daily_equity(one).pct_change().dropna().to_numpy()
        assert both.daily_returns[key].to_numpy() == pytest.approx(own, abs=1e-12)


def test_a_symbol_cannot_be_called_as_the_account_is():
    names = replace(PANEL, symbols=(TOTAL, "B"))
    with pytest.raises(ValueError, match=r"a symbol cannot be called 'total'.*rename it"):
        sweep(names, replace(PANEL_PREDS, symbols=names.symbols), threshold=0.4)


def test_funding_is_a_figure_of_cells_that_have_it():
    rates = np.where(np.arange(len(PANEL)) % 8 == 0, 1e-4, np.nan)[:, None] * np.ones(2)
    done = sweep(replace(PANEL, funding=rates), PANEL_PREDS, threshold=0.4)
    paid = done.simulation().funding
    assert done.metrics["funding"].tolist() == pytest.approx([paid.sum(), *paid.sum(axis=0)])
    single = sweep(replace(BARS, funding=np.full((len(BARS), 1), 1e-4)), PREDS, threshold=0.4)
    assert single.metrics["funding"].tolist() == pytest.approx([single.simulation().funding.sum()])
    assert "funding" not in sweep(PANEL, PANEL_PREDS, threshold=0.4).metrics


def test_daily_returns_are_those_of_the_reference_risk(result):
    assert result.reference_risk == 0.005
    assert result.daily_returns.columns.equals(result.signals.columns)
    days = (
        daily_equity(result.simulation(threshold=0.5, risk=0.005, stop_multiple=1.0))
        .pct_change()
        .dropna()
    )
    own = result.daily_returns[(0.5, "A")]
    assert own.index.equals(pd.DatetimeIndex(days.index))
    assert own.to_numpy() == pytest.approx(days.to_numpy(), abs=1e-12)
    asked = sweep(BARS, PREDS, threshold=[0.5], risk=[0.005, 0.02], reference_risk=0.02)
    assert asked.reference_risk == 0.02
    assert asked.daily_returns.std().iloc[0] > 2 * own.std()


def test_the_reference_risk_need_not_be_swept(result):
    swept = sweep(BARS, PREDS, threshold=[0.4, 0.5], risk=[0.02], reference_risk=0.005)
    assert swept.metrics.index.unique("risk").tolist() == [0.02]
    mine, its = swept.daily_returns, result.daily_returns[[(0.4, "A"), (0.5, "A")]]
    np.testing.assert_array_equal(mine, its)
    at_once = result.metrics.xs(1.0, level="stop_multiple").loc[swept.metrics.index]
    np.testing.assert_array_equal(swept.metrics.to_numpy(), at_once.to_numpy())


@pytest.mark.parametrize(("bars", "preds"), [(BARS, PREDS), (PANEL, PANEL_PREDS)])
def test_how_many_rules_are_walked_at_once_changes_nothing(bars, preds, monkeypatch):
    rules = {"threshold": [0.4, "q0.50", 0.5, 0.45, "q0.70"], "risk": [0.01, 0.02]}
    own = random_signals(
        num_bars=len(bars), num_rules=5, seed=1, symbols=bars.symbols, density=0.02
    )
    mixed = own.take(np.random.default_rng(0).permutation(len(own.columns))[1:])

    def swept():
        for arguments in (rules, {"signals": mixed, "risk": [0.01, 0.02]}):
            made = sweep(bars, preds, stop_multiple=[1.0, 2.0], **arguments)
            yield made.metrics, made.daily_returns

    at_once = list(swept())
    monkeypatch.setattr(cells, "CHUNK_BYTES", 40_000)
    for (metrics, days), (metrics_before, days_before) in zip(swept(), at_once, strict=True):
        pd.testing.assert_frame_equal(metrics, metrics_before, check_exact=True)
        pd.testing.assert_frame_equal(days, days_before, check_exact=True)
    labelled = set(metrics.index.droplevel(["risk", "stop_multiple"])) | set(days.columns)
    assert {label for label in labelled if label[1] != TOTAL} == set(mixed.columns)


def test_the_window_runs_from_the_first_to_the_last_prediction(result):
    proba = PREDS.proba.copy()
    split = PREDS.split.copy()
    proba[1_900:], split[1_900:] = np.nan, -1
    shorter = Predictions(
        index=PREDS.index, symbols=PREDS.symbols, proba=proba, split=split,
        splits=PREDS.splits, quantiles=PREDS.quantiles, target=TARGET,
    )  # fmt: skip
    assert prediction_window(PREDS) == result.window == (550, 2_000)
    assert prediction_window(shorter) == (550, 1_900)
    done = sweep(BARS, shorter, threshold=0.4).simulation()
    assert (done.index[0], done.index[-1]) == (BARS.index[550], BARS.index[1_899])


def test_brackets_come_from_the_label_unless_they_are_given():
    own = sweep(BARS, PREDS, threshold=0.4).brackets
    label = target_brackets(BARS, TARGET)
    assert np.array_equal(own.stop_long, label.stop_long, equal_nan=True)
    assert own.max_holding == 24
    fixed = sweep(BARS, PREDS, threshold=0.4, stop=0.03).brackets
    assert (fixed.stop_short == 0.03).all()
    assert np.isnan(fixed.take_profit_long).all()
    assert fixed.max_holding is None
    mixed = sweep(BARS, PREDS, threshold=0.4, take_profit=0.07, max_holding=5).brackets
    assert (mixed.take_profit_short == 0.07).all()
    assert np.array_equal(mixed.stop_long, label.stop_long, equal_nan=True)
    assert mixed.max_holding == 5


def test_a_rule_of_ones_own_is_swept_over_risk():
    signals = random_signals(num_bars=1_500, num_rules=2, seed=4, symbols=("A", "B"))
    done = sweep(PANEL, PANEL_PREDS, signals=signals, risk=[0.01, 0.02])
    assert done.metrics.index.names == ["rule", "risk", "symbol"]
    assert len(done.simulation(rule=1, risk=0.02).columns) == 2
    flat = sweep(PANEL, PANEL_PREDS, signals=signals.take([0, 1]), risk=0.01)
    assert flat.simulation(symbol="B").columns.tolist() == [(0, "B")]


def test_a_cell_without_trades_has_no_ratios():
    with pytest.warns(
        UserWarning,
        match=r"2 of 2 cells have fewer than 30 trades \(median 0\).*lower the thresholds",
    ):
        quiet = sweep(BARS, PREDS, threshold=0.99, risk=[0.01, 0.02])
    row = quiet.metrics.iloc[0]
    assert row[["trades", "total_return", "max_drawdown", "volatility", "costs"]].tolist() == [
        0,
        0,
        0,
        0,
        0,
    ]
    undefined = [
        "sharpe",
        "sortino",
        "calmar",
        "win_rate",
        "profit_factor",
        "mean_trade",
        "capped_share",
    ]
    assert row[undefined].isna().all()


@pytest.mark.parametrize(("bars", "preds"), [(BARS, PREDS), (PANEL, PANEL_PREDS)])
def test_entries_that_are_refused_are_told_where_there_are_few_trades(bars, preds):
    huge = {"default": Instrument(lot=1e9)}
    with pytest.warns(UserWarning, match=r"1 of 1 cells .* entries of theirs were refused"):
        done = sweep(bars, preds, threshold=0.4, instruments=huge)
    assert (done.metrics["trades"] == 0).all()


def test_a_bust_cell_is_finite_and_says_so():
    falling = random_bars(num_bars=1_000, seed=3, gaps=0.05)
    preds = random_predictions(falling, seed=3, start=700, target=None)
    with pytest.warns(UserWarning, match="1 of 1 cells have fewer than 30 trades"):
        done = sweep(falling, preds, threshold=0.34, risk=1.0, stop=0.01, max_leverage=50.0)
    ruin = done.metrics.iloc[0]
    assert ruin["bust"]
    assert ruin["cagr"] == -1.0
    assert ruin["exposure"] == np.mean(done.simulation().position != 0)
    assert np.isnan(ruin["log_growth"])
    assert np.isfinite(
        ruin[["total_return", "volatility", "sharpe", "max_drawdown"]].astype(float)
    ).all()


def test_a_shared_account_that_is_bust_says_so_of_all_its_symbols():
    falling = random_bars(num_bars=1_000, seed=3, symbols=("A", "B"), gaps=0.05)
    preds = random_predictions(falling, seed=3, start=700, target=None)
    with pytest.warns(UserWarning, match="1 of 1 cells have fewer than 30 trades"):
        done = sweep(
            falling, preds, threshold=0.34, risk=1.0, stop=0.01, max_leverage=50.0,
            max_open_risk=50.0,
        )  # fmt: skip
    assert done.metrics["bust"].tolist() == [True, True, True]
    assert done.metrics["total_return"].iloc[0] <= -1.0


def test_a_sweep_refuses_what_it_cannot_mean(result):
    with pytest.raises(ValueError, match=r"stop must lie in \(0, 1\), got 3: .* 0.03 for 3 %"):
        sweep(BARS, PREDS, threshold=0.4, stop=3.0)
    with pytest.raises(ValueError, match=r"risk must lie in \(0, 1\], got 2"):
        sweep(BARS, PREDS, threshold=0.4, risk=[0.1, 2.0])
    with pytest.raises(ValueError, match="risk needs one or more distinct values"):
        sweep(BARS, PREDS, threshold=0.4, risk=[])
    with pytest.raises(ValueError, match="stop_multiple must be positive"):
        sweep(BARS, PREDS, threshold=0.4, stop_multiple=0.0)
    with pytest.raises(
        ValueError, match=r"threshold has 3 values, name one of \[0.4, 'q0.50', 0.5\]"
    ):
        result.simulation(risk=0.02, stop_multiple=1.0)
    with pytest.raises(
        ValueError, match=r"risk=0.03 was not swept; there are \[0.02, 0.005, 0.2\]"
    ):
        result.simulation(threshold=0.4, risk=0.03, stop_multiple=1.0)
    with pytest.raises(ValueError, match="'treshold' is not a level of this sweep"):
        result.simulation(treshold=0.4)
    silent = Predictions.from_frames(
        prob_up=PREDS.prob_up * np.nan, prob_down=PREDS.prob_down * np.nan
    )
    with pytest.raises(ValueError, match="not a single prediction"):
        sweep(BARS, silent, threshold=0.4, stop=0.1)


def test_defaults_of_the_rule_are_those_of_the_config():
    rule = RuleConfig()
    with pytest.warns(UserWarning, match="1 of 1 cells have fewer than 30 trades"):
        own = sweep(BARS, PREDS).signals
    spelled = confidence_signals(
        PREDS, BARS, threshold=rule.threshold, hysteresis=rule.hysteresis, short=rule.short,
        short_threshold=rule.short_threshold, floor=rule.floor, full=rule.full,
    )  # fmt: skip
    assert np.array_equal(own.size, spelled.size)
    assert np.array_equal(own.short_exits, spelled.short_exits)


def test_fixed_kind_targets_have_a_stop_and_no_take_profit():
    target = Target(kind="fixed", horizon=16, up=0.5, down=0.5, halflife=24.0)
    brackets = target_brackets(BARS, target)
    barrier = target_brackets(
        BARS, Target(kind="barrier", horizon=16, up=2.0, down=0.5, halflife=24.0)
    )
    assert np.isnan(brackets.take_profit_long).all()
    known = np.isfinite(brackets.stop_long)
    assert known.any()
    for side, multiple in (
        ("stop_long", 0.5),
        ("stop_short", 2.0),
        ("take_profit_long", 2.0),
        ("take_profit_short", 0.5),
    ):
        assert getattr(barrier, side)[known] == pytest.approx(
            multiple * brackets.stop_long[known], rel=1e-12
        )
    returns = np.log(BARS.close[:, 0] / np.roll(BARS.close[:, 0], 1))[1:]
    sigma = np.sqrt(pd.Series(returns**2).ewm(halflife=24.0, adjust=False).mean())
    assert brackets.stop_short[-1, 0] == pytest.approx(4 * sigma.iloc[-1], rel=1e-9)
    assert brackets.max_holding == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop": -0.1}, r"stop_long must lie in \(0, inf\), got -0.1"),
        ({"take_profit": 0.0}, r"take_profit_long must lie in \(0, inf\), got 0"),
        ({"max_holding": 0}, "max_holding must be at least 1 bar or None, got 0"),
        ({"stop": pd.DataFrame({"A": [0.1, 0.1]})}, "must have the bars' index"),
    ],
)
def test_brackets_refuse(changes, message):
    with pytest.raises(ValueError, match=message):
        fixed_brackets(BARS, **changes)


@pytest.mark.parametrize("name", ["min_edge", "hysteresis"])
@pytest.mark.parametrize("values", [(), (0.5, 0.5)])
def test_a_list_of_the_rule_s_own_keys_has_values_and_none_twice(name, values):
    with pytest.raises(InputError, match=rf"{name} needs at least one value and no value twice"):
        SweepConfig(**{name: values})


def test_the_strategy_s_own_least_edge_is_always_swept():
    lists = SweepConfig(min_edge=(0.0, 2.0)).including("q0.90", 0.01, 1.0)
    assert lists.min_edge == (0.0, 2.0, 1.0)
    assert SweepConfig().including("q0.90", 0.01, 1.0).min_edge is None


def test_a_symbol_that_never_moved_is_named_and_not_traded_and_ends_no_sweep():
    fields = {name: getattr(PANEL, name).copy() for name in FIELDS}
    for name in FIELDS[:4]:  # B stands at 1.0 up to bar 900, with predictions from 550 on
        level = PANEL.open[900, 1] if np.isfinite(PANEL.open[900, 1]) else PANEL.open[901, 1]
        fields[name][:, 1] /= level
        fields[name][:900, 1] = np.where(PANEL.present[:900, 1], 1.0, np.nan)
    bars = replace(PANEL, **fields)
    still = int((PANEL_PREDS.split[:900, 1] >= 0).sum())
    with pytest.warns(StillPriceWarning, match=rf"^B: on {still} bar\(s\) with a prediction"):
        found = sweep(bars, PANEL_PREDS, threshold=[0.4, 0.5], risk=[0.01, 0.02])
    proba, split = PANEL_PREDS.proba.copy(), PANEL_PREDS.split.copy()
    proba[:900, 1], split[:900, 1] = np.nan, -1
    silent = replace(PANEL_PREDS, proba=proba, split=split)
    plain = sweep(bars, silent, threshold=[0.4, 0.5], risk=[0.01, 0.02])
    pd.testing.assert_frame_equal(found.metrics, plain.metrics)
    pd.testing.assert_frame_equal(found.daily_returns, plain.daily_returns)
    trades = found.simulation(threshold=0.4, risk=0.01).trades
    assert trades["entry_idx"][trades["col"] == 1].min() > 900 - found.window[0]
    # a stop that is missing for any other reason is still refused
    own = replace(target_brackets(bars, TARGET), still=None)
    signals = confidence_signals(PANEL_PREDS, bars, threshold=0.4)
    with pytest.raises(InputError, match="entries have no stop"):
        simulate_signals(bars, signals, own)


def test_bars_and_predictions_that_changed_places_are_told():
    preds = random_predictions(BARS, seed=1)
    with pytest.raises(InputTypeError, match=r"bars must be Bars, got Predictions; .*sweep\(bars,"):
        sweep(preds, BARS)
    with pytest.raises(InputTypeError, match=r"preds must be Predictions, got DataFrame"):
        sweep(BARS, preds.prob_up)
    with pytest.raises(InputTypeError, match=r"it is confidence_signals\(preds, bars\)"):
        confidence_signals(BARS, preds, threshold=0.5)


def test_predictions_from_elsewhere_are_swept_by_default():
    """Half is more likely than not; nobody said which barriers, so those of the default target."""
    made = random_predictions(BARS, seed=1)
    frames = {"prob_up": made.prob_up, "prob_down": made.prob_down}
    bare = Predictions.from_frames(**frames)
    with pytest.warns(AssumedTargetWarning, match=r"24 bars .* give stop=, or from_frames"):
        found = sweep(BARS, bare)
    told = sweep(BARS, Predictions.from_frames(**frames, target=Target()), threshold=0.5)
    pd.testing.assert_frame_equal(found.metrics, told.metrics)
    pairs = [((0, split.test[0] - 24), split.test) for split in made.splits]
    own = Predictions.from_frames(**frames, target=Target(), splits=pairs)
    assert list(sweep(BARS, own).metrics.index.unique("threshold")) == ["q0.90"]


def test_the_first_split_meets_no_quantile_and_stakes_in_full_from_eighty_percent():
    made = random_predictions(BARS, seed=1)
    pairs = [((0, split.test[0] - 24), split.test) for split in made.splits]
    own = Predictions.from_frames(
        prob_up=made.prob_up, prob_down=made.prob_down, target=Target(), splits=pairs
    )
    first = slice(*own.splits[0].test)
    entered = sweep(BARS, own, threshold="q0.10").signals
    assert not (entered.entries[first] | entered.short_entries[first]).any()
    assert entered.entries[own.splits[1].test[0] :].any()
    by_number = sweep(BARS, own, threshold=0.4).signals.size[first]
    plain = sweep(BARS, own, threshold=0.4, full=0.80).signals.size[first]
    assert plain.any()
    np.testing.assert_array_equal(by_number, plain)
