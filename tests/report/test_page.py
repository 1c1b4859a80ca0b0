from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence import cells
from convnext_vbt.evidence.cells import Grid
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.report import payload
from convnext_vbt.report.inputs import is_simulated
from convnext_vbt.report.notebook import plot_equity
from convnext_vbt.report.page import render, write_report
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.sweep import sweep
from tests.report.markets import (
    FIXED,
    Page,
    caveats_of,
    make_bars,
    make_predictions,
    make_sweep,
    quick_render,
    walk_frame,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")


@pytest.fixture(scope="module")
def res():
    return make_sweep()


@pytest.fixture(scope="module")
def page(res):
    return Page.read(render(res, selected=FIXED, provenance={"Seed": "0"}))


def spiked(t):
    """What is said of spikes, and the account, with a wick of half the price in the window's t."""
    bars = make_bars()
    high = bars.high.copy()
    high[make_sweep(bars=bars).window[0] + t] *= 1.5
    res = make_sweep(bars=replace(bars, high=high))
    simulation = res.simulation(**FIXED)
    notes = caveats_of(res, simulation, "the cell", num_rules=1, simulated=False)
    return [note for note in notes if "reversed at once" in note], simulation.trades


def test_spikes_and_the_trades_that_met_them_are_named(res):
    trades = res.simulation(**FIXED).trades
    assert not [
        n
        for n in caveats_of(res, res.simulation(**FIXED), "x", num_rules=1, simulated=False)
        if "reversed at once" in n
    ]
    long = trades[(trades["direction"] == 0) & (trades["exit_idx"] > trades["entry_idx"] + 2)][-1]
    (note,), made = spiked(long["entry_idx"] + 1)
    (met,) = made[made["exit_idx"] == long["entry_idx"] + 1]
    profit = f"{met['pnl']:,.2f}" if met["pnl"] < 100 else f"{met['pnl']:,.0f}"
    assert note.startswith(
        "1 price spike that reversed at once (bad ticks or crashes), the largest"
    )
    assert note.endswith(f"1 trade of the cell entered or left there, total profit {profit}.")
    (flat,), _ = spiked(int(trades["exit_idx"].max()) + 20)
    assert flat.endswith("UTC. No trade of the cell entered or left there.")


def said_of(bars, words):
    """The caveats with these words, and the trades."""
    res = make_sweep(bars=bars)
    simulation = res.simulation(**FIXED)
    notes = caveats_of(res, simulation, "the cell", num_rules=1, simulated=False)
    return [note for note in notes if words in note], simulation.trades


def test_a_leap_and_the_trades_held_over_it_are_named(res):
    trades = res.simulation(**FIXED).trades
    held = trades[trades["exit_idx"] > trades["entry_idx"] + 2][-1]
    bars, start = make_bars(), res.window[0]
    t = start + held["entry_idx"] + 1
    prices = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    for values in prices.values():
        values[t:] /= 10
    (note,), made = said_of(replace(bars, **prices), "that stayed")
    assert note.startswith("1 leap of the price that stayed (a split")
    assert f"(as a split of 10:1 leaves it) at {bars.index[t]:%Y-%m-%d %H:%M} UTC" in note
    over = made[(made["entry_idx"] < t - start) & (made["exit_idx"] >= t - start)]
    assert len(over) == 1
    assert "1 trade of the cell was held over it, total profit " in note
    assert not said_of(bars, "that stayed")[0]


def test_orders_filled_where_nothing_traded_are_counted(res):
    trades, bars, start = res.simulation(**FIXED).trades, make_bars(), res.window[0]
    volume = bars.volume.copy()
    entry = start + trades["entry_idx"][-1]
    volume[entry : entry + 8] = 0.0
    (note,), made = said_of(replace(bars, volume=volume), "nothing traded")
    within = [
        (start + made[name] >= entry) & (start + made[name] < entry + 8)
        for name in ("entry_idx", "exit_idx")
    ]
    count = int(np.sum(within))
    assert count
    assert note.startswith("1 stretch in which nothing traded (8 bars of volume 0")
    orders = "1 order of the cell was" if count == 1 else f"{count} orders of the cell were"
    assert f"{orders} filled there, at prices" in note
    assert not said_of(bars, "nothing traded")[0]


def ledger(res, cell):
    """Equity at every close, rebuilt from the orders alone with pandas."""
    simulation, bars = res.simulation(**cell), res.window_bars
    orders = pd.DataFrame(simulation.orders)
    sign = 1 - 2 * orders["side"]
    flows = pd.DataFrame(
        {
            "cash": -sign * orders["size"] * orders["price"] - orders["fees"],
            "units": sign * orders["size"],
        }
    )
    held = flows.groupby(orders["idx"]).sum().reindex(range(len(bars)), fill_value=0.0).cumsum()
    equity = 10_000 + held["cash"].to_numpy() + held["units"].to_numpy() * bars.close[:, 0]
    return pd.Series(equity, index=bars.index)


def test_key_figures_equal_a_ledger_rebuilt_from_the_orders(res, page):
    grid = Grid.of(res.metrics)
    for row in (0, len(grid) // 2, len(grid) - 1):
        equity = ledger(res, grid.cell(row))
        growth = equity.groupby(equity.index.normalize()).last() / 10_000
        returns = growth / growth.shift(fill_value=1.0) - 1
        shown = {name: page.array(ref)[row] for name, ref in page.data["metrics"].items()}
        assert shown["total_return"] == pytest.approx(equity.iloc[-1] / 10_000 - 1)
        assert shown["sharpe"] == pytest.approx(returns.mean() / returns.std() * 365**0.5)
        path = np.append(10_000, equity)
        assert shown["max_drawdown"] == pytest.approx(
            (path / np.maximum.accumulate(path) - 1).min()
        )
        series = page.data["series"][row]
        assert series["row"] == row
        np.testing.assert_allclose(page.array(series["net"]["growth"]), growth, atol=5.1e-5)
        profit = page.array(series["trades"]["profit"]).sum()
        assert profit == pytest.approx(equity.iloc[-1] - 10_000, abs=0.005 * shown["trades"])
        assert len(page.array(series["trades"]["entry"])) == shown["trades"]
        trades = res.simulation(**grid.cell(row)).trades
        staked = path[trades["entry_idx"]]  # equity at the close before the entry
        np.testing.assert_allclose(
            page.array(series["trades"]["share"]), trades["pnl"] / staked, atol=5.1e-5
        )


def test_split_returns_chain_to_the_total(page):
    for series in page.data["series"]:
        chained = np.prod(1 + page.array(series["splits"]["return"]).astype(float)) - 1
        total = page.array(page.data["metrics"]["total_return"])[series["row"]]
        assert chained == pytest.approx(total, abs=1e-5)
        trades = page.array(series["splits"]["trades"]).sum()
        assert trades == page.array(page.data["metrics"]["trades"])[series["row"]]


def test_the_same_result_gives_the_same_bytes(page, tmp_path):
    again = write_report(make_sweep(), tmp_path / "a", selected=FIXED, provenance={"Seed": "0"})
    assert again.read_bytes() == page.text.encode()


@pytest.mark.slow
def test_54_cells_over_a_year_fit_in_3_megabytes():
    bars = make_bars(bars=8_760 + 900)
    thresholds = [f"q{level:.2f}" for level in np.linspace(0.7, 0.98, 9)]
    res = make_sweep(
        bars=bars, splits=6, threshold=thresholds, risk=[0.0025, 0.005, 0.01, 0.015, 0.02, 0.03]
    )
    text = quick_render(res, selected={})
    assert len(res.metrics) == 54
    assert len(Page.read(text).data["series"]) == 54
    assert len(text.encode()) < 3_000_000


def test_cells_that_differ_in_risk_share_the_times_of_their_trades(page):
    first, second = page.data["series"][:2]
    assert first["trades"]["entry"] == second["trades"]["entry"]
    assert first["trades"]["profit"] != second["trades"]["profit"]


def test_provenance_says_how_the_numbers_came_about(page):
    for text in (
        "BTC/USDT", "at the next open", "signal at the close of bar t, filled at the open of t+1",
        "fees 5 bp, slippage 2 bp", "barriers, 24 bars", "6 bars missing", "256 bars",
        "24 bars at every boundary", "did not learn", "one history is one sample",
        "no borrow cost", "buy and hold",
    ):  # fmt: skip
        assert text.lower() in page.text.lower(), text


def test_a_hindsight_choice_is_called_one(page):
    res = make_sweep(bars=make_bars(bars=1_500), threshold="q0.90", risk=0.01)
    said = 'id="selected-note">exploratory, chosen in hindsight'
    text = quick_render(res, provenance={"Source": "simulated:seed=7"})
    assert said in text
    assert said not in page.text
    assert "This market is simulated." in text  # by its source


def test_the_strategys_cell_must_have_been_swept(res):
    with pytest.raises(ValueError, match=r"threshold='q0.91' was not swept; choose from \['q0.70'"):
        quick_render(res, selected={"threshold": "q0.91"})
    with pytest.raises(ValueError, match=r"the sweep has no level \['stop'\], only"):
        quick_render(res, selected={"stop": 1})


@pytest.mark.slow
def test_many_cells_carry_all_figures_but_not_all_series(monkeypatch):
    monkeypatch.setattr(cells, "MAX_CELLS", 10)
    res = make_sweep(
        threshold=["q0.60", "q0.70", "q0.80", "q0.90"], risk=[0.001 * k for k in range(1, 13)]
    )
    cell = {"threshold": "q0.80", "risk": 0.005}
    page = Page.read(quick_render(res, selected=cell))
    rows = [series["row"] for series in page.data["series"]]
    assert Grid.of(res.metrics).find(cell) in rows
    assert len(rows) == len(set(rows)) <= 10
    assert page.data["metrics"]["cagr"]["n"] == 48
    assert "Key figures are here for all 48 cells" in page.text


def test_text_from_outside_cannot_become_code():
    bars = make_bars("<script>alert(1)</script>")
    res = make_sweep(bars=bars, threshold="q0.90", risk=0.01)
    text = quick_render(
        res,
        title="</title><script>alert(2)</script>",
        provenance={"<b>": "<img src=x onerror=alert(3)>"},
    )
    assert "<script>alert" not in text
    assert "<img" not in text
    assert text.count("<script") == 4
    assert (
        payload.json_text({"a": "</script>&\u2028"})
        == '{"a":"\\u003c/script\\u003e\\u0026\\u2028"}'
    )


def test_names_of_rules_cannot_smuggle_markup_into_the_figures():
    bars = make_bars('<a href="x">', "B", bars=1_500)
    preds = make_predictions(bars)
    own = Signals.from_frames(entries=preds.prob_up > 0.5, exits=preds.prob_up < 0.4)
    page = Page.read(quick_render(sweep(bars, preds, signals=own, risk=0.01)))
    assert page.data["figures"]["rules"]["layout"]["xaxis"]["ticktext"][1].startswith("&lt;a")


def test_no_trade_renders_as_not_available():
    res = make_sweep(threshold=0.999, risk=0.01)
    page = Page.read(quick_render(res, selected={}))
    assert "n/a (0 trades)" in page.text
    assert "The headline makes no trade" in page.text
    assert page.data["series"][0]["trades"]["entry"]["n"] == 0


@pytest.mark.slow
def test_equal_probabilities_render():
    bars = make_bars(bars=1_500)
    preds = make_predictions(bars, splits=1)
    flat = np.where(preds.split[..., None] >= 0, np.full(3, 1 / 3), np.nan)
    res = sweep(
        bars, replace(preds, proba=flat, quantiles=np.full((1, 1001), 1 / 3)), threshold=0.4
    )
    assert "0.500" in quick_render(res)  # the AUC of knowing nothing


def test_an_account_that_goes_bust_renders():
    frame = walk_frame(bars=1_500)
    frame.iloc[1_200:, :4] *= 0.4  # an overnight crash through every stop
    bars = Bars.from_frame(frame, symbol="BTC/USDT")
    preds = make_predictions(bars)
    always = Signals.from_frames(entries=preds.prob_up.notna())
    res = sweep(bars, preds, signals=always, risk=0.5, max_leverage=20.0)
    assert res.metrics["bust"].all()
    page = Page.read(quick_render(res))
    assert "1 of 1 cells lose the whole account" in page.text
    assert page.array(page.data["series"][0]["net"]["growth"])[-1] <= 0
    plot_equity(res)


def test_probabilities_without_target_or_splits_render():
    bars = make_bars(bars=1_500)
    made = make_predictions(bars)
    preds = Predictions.from_frames(prob_up=made.prob_up, prob_down=made.prob_down)
    text = quick_render(sweep(bars, preds, threshold=0.5, stop=0.02))
    assert "<title>Backtest: " in text
    assert "came without splits" in text
    assert "no target" in text
    assert "One fixed rule, chosen by you." in text
    assert "Headline: one fixed rule" in text
    for claim in ("chosen walk-forward", "No hindsight", "Nested selection", "nested selection"):
        assert claim not in text, claim
    assert "is\ntaken on trust" in text or "is taken on trust" in text


def test_only_what_learned_from_earlier_bars_alone_is_headed_a_walk_forward(page):
    assert "<title>Walk-forward backtest: " in page.text
    bars = make_bars(bars=1_500)
    made = make_predictions(bars)
    for train in ((0, 1_500), (0, 0)):  # learned from later bars, and nobody says from which
        splits = tuple(replace(split, train=train) for split in made.splits)
        res = sweep(bars, replace(made, splits=splits), threshold=["q0.60", "q0.90"])
        assert "<title>Backtest: " in quick_render(res)


def test_a_panel_and_a_rule_of_ones_own_render():
    bars = make_bars("BTC/USDT", "ETH/USDT", bars=1_500)
    preds = make_predictions(bars)
    own = Signals.from_frames(entries=preds.prob_up > 0.5, exits=preds.prob_up < 0.4)
    res = sweep(bars, preds, signals=own, risk=[0.01, 0.02], stop_multiple=[0.5, 1.0])
    cell = {"risk": 0.02, "symbol": "ETH/USDT"}
    page = Page.read(quick_render(res, selected=cell))
    assert len(page.data["holds"]) == len(page.data["prices"]) == 3  # the account, then each
    assert [level["name"] for level in page.data["levels"]] == ["risk", "stop_multiple", "symbol"]
    assert Grid.of(res.metrics).cell(page.data["fixed"]) == cell | {"stop_multiple": 0.5}


@pytest.mark.slow
def test_simulated_data_says_so(res, page):
    said = "This market is simulated."
    simulated = make_sweep(bars=make_bars("SIM/USDT", bars=1_500), threshold="q0.90", risk=0.01)
    assert said in quick_render(simulated)
    assert said not in page.text
    assert not is_simulated(res, "prices.csv")


def test_equal_arrays_are_stored_once():
    pool = payload.Pool()
    first = pool.add([1, 2, 3], "u1")
    assert pool.add(np.array([1.0, 2.0]), "f8")["at"] == 8  # aligned for Float64Array
    assert pool.add([1, 2, 3], "u1") is first
    assert pool.size == 24


@pytest.mark.slow
def test_a_single_day_and_a_single_trade_render():
    bars = make_bars(bars=1_000)
    preds = make_predictions(bars, splits=1, first=len(bars) - 20)
    assert (preds.split >= 0).sum() == 20
    entries = preds.prob_up.notna() & False
    entries.iloc[-18] = True
    res = sweep(bars, preds, signals=Signals.from_frames(entries=entries), risk=0.01)
    assert res.metrics["trades"].tolist() == [1]
    page = Page.read(quick_render(res))
    series = page.data["series"][0]
    assert page.array(series["trades"]["entry"]).tolist() == [3]
    assert page.array(series["histograms"]["held"]["counts"]).tolist() == [1]
    assert page.array(series["monthly"]).shape == (1,)
    assert np.isnan(page.array(series["rolling"])).all()
