"""The verdict, end to end, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

import convnext_vbt as cv
import convnext_vbt.plugin
from tests.evidence.judging.grids import crossings, knowing, noise, prices


@pytest.fixture(scope="module")
def known():
    return cv.judge(knowing(prices(days=300), edge=0.35))


@pytest.fixture(scope="module")
def luck():
    return cv.judge(crossings(prices(days=300)))


def test_planted_knowledge_passes_and_is_named(known):
    assert known.verdict.word == "PASS"
    assert all(reason.ok for reason in known.verdict.reasons)
    assert known.best.position == 0
    assert known.superior == (known.best.name,)
    assert known.leads.tolist() == [True] + [False] * 5
    assert known.periods["position"].tolist() == [0] * 9
    assert known.unknown == ()


def test_luck_does_not(luck):
    assert luck.verdict.word != "PASS"
    assert luck.superior == ()
    assert luck.num_columns == 6
    assert 1 < luck.effective_trials < 6


def test_returns_alone_never_pass_and_say_why():
    good = noise(days=600, mean=0.002)
    found = cv.judge(good, benchmark=noise(days=600, columns=1, seed=9).iloc[:, 0])
    assert found.verdict.word == "INCONCLUSIVE"
    unmet = {reason.subject for reason in found.verdict.reasons if not reason.ok}
    assert unmet == {"sides_p", "times_p", "trades", "doubled_costs_sharpe"}
    assert len(found.unknown) == 4
    alone = cv.judge(good)
    assert {r.subject for r in alone.verdict.reasons if not r.ok} == unmet | {"sharpe"}
    assert cv.judge(noise(mean=-0.002)).verdict.word == "FAIL"


def test_a_column_is_judged_by_itself_and_by_what_was_tried():
    pf = knowing(prices(days=300), edge=0.35, columns=1)
    alone, many = cv.judge(pf), cv.judge(pf, num_trials=1_000)
    assert alone.judged.num_trials == 1
    assert alone.judged.num_days == 300
    assert many.judged.dsr < alone.judged.dsr
    assert many.effective_trials == 1_000


def test_more_than_are_here_deflate_a_grids_best_column_too(known):
    pf = knowing(prices(days=300), edge=0.35)
    found = cv.judge(pf, num_trials=60_000)
    assert found.judged.num_trials == 10_000
    assert found.effective_trials == pytest.approx(10_000 * known.effective_trials)
    subjects = {reason.subject for reason in found.verdict.reasons}
    assert subjects - {reason.subject for reason in known.verdict.reasons} == {"best_dsr"}


def test_zero_costs_are_not_known_costs():
    pf = knowing(prices(days=300), edge=0.35)
    free = vbt.Portfolio.from_orders(
        pf.close, pf.asset_flow().replace(0.0, np.nan) / 1e3, fees=0.0, freq="h"
    )
    found = cv.judge(free)
    assert found.verdict.word != "PASS"
    assert any("the orders paid no costs" in text for text in found.unknown)


def test_columns_that_never_traded_are_counted_and_poison_nothing():
    pf = crossings(prices(), windows=(6, 12, 24, 48))
    close = pf.close
    never = pd.DataFrame(False, close.index, ["idle0", "idle1"])
    entries = pd.DataFrame({"x": np.arange(len(close)) % 40 == 0}, close.index)
    both = pd.concat([entries, never, entries.shift(3, fill_value=False)], axis=1)
    price = close.iloc[:, 0]
    made = vbt.Portfolio.from_signals(
        price, both, both.shift(20, fill_value=False), fees=0.001, freq="h"
    )
    found = cv.judge(made)
    assert (found.num_columns, found.idle_columns, found.num_trials) == (4, 2, 2)
    assert np.isnan(found.sharpes).tolist() == [False, True, True, False]
    assert np.isfinite([found.judged.sharpe, found.spa, found.best.dsr]).all()


def test_holding_alone_leads_over_nothing():
    close = prices(days=100, drift=0.01)["a0"]
    found = cv.judge(vbt.Portfolio.from_holding(close))
    assert found.verdict.word == "INCONCLUSIVE"  # one trade
    assert np.isnan(found.spa)
    assert "no other times" in found.times.reason
    assert found.superior == ()


def test_an_account_that_lost_everything_is_over():
    close = prices(days=100)["a0"].copy()
    close.iloc[1_000:] *= 4
    size = pd.Series(np.nan, close.index)
    size.iloc[50] = -1.5
    size.iloc[1_500:1_600:10] = 1.0
    pf = vbt.Portfolio.from_orders(close, size)
    assert pf.value().iloc[1_100] < 0
    found = cv.judge(pf)
    assert (found.judged.total_return, found.judged.max_drawdown) == (-1.0, -1.0)
    assert not found.path.returns[42:].any()
    assert any("1 of 1 columns lost everything" in note for note in found.notes)
    assert found.verdict.word != "PASS"


def test_a_grid_of_which_nothing_could_be_chosen_holds_nothing():
    close = prices(days=100)["a0"]
    late = pd.DataFrame({"x": np.arange(len(close)) == 2_300, "y": np.arange(len(close)) == 2_310})
    entries = late.set_index(close.index)
    pf = vbt.Portfolio.from_signals(close, entries, entries.shift(20, fill_value=False), fees=0.001)
    found = cv.judge(pf)
    assert found.periods["column"].isna().all()
    assert (found.judged.trades, found.judged.total_return) == (0, 0.0)
    assert found.verdict.word == "INCONCLUSIVE"


def test_the_exact_engines_own_portfolio_is_judged_too():
    bars = cv.load_bars("simulated:seed=5,bars=2400")
    hour = np.arange(len(bars))[:, None] % 24
    names = {"entries": 3, "exits": 9, "short_entries": 12, "short_exits": 20}
    frames = {
        name: pd.DataFrame(hour == when, bars.index, list(bars.symbols))
        for name, when in names.items()
    }
    signals = cv.Signals.from_frames(**frames)
    found = cv.judge(cv.simulate(bars, signals, risk=0.01, stop=0.05))
    assert found.judged.trades > 100
    assert np.isfinite([found.sides.p_value, found.times.p_value, found.spa]).all()


def test_the_accessors_give_the_same(luck):
    pf = crossings(prices(days=300))
    assert isinstance(pf.vbt.convnext, convnext_vbt.plugin.PortfolioAccessor)
    assert pf.vbt.convnext.judge().to_dict() == luck.to_dict()
    returns = noise()
    assert returns.vbt.convnext.judge(num_trials=9).to_dict() == (
        cv.judge(returns, num_trials=9).to_dict()
    )
    one = returns["r0"]
    assert one.vbt.convnext.judge(seed=2).to_dict() == cv.judge(one, seed=2).to_dict()
    assert np.isfinite(pf.iloc[0].total_return())  # and vectorbt goes on as before


def test_its_words(luck):
    assert repr(luck).startswith(f"Judgement({luck.verdict.word}: walk-forward choice, Sharpe ")
    assert luck.verdict.reasons[0].text.split(":")[0] in luck._repr_html_()
    assert json.loads(json.dumps(luck.to_dict(), allow_nan=False))["days"] == 300
    assert len(luck.returns) == luck.judged.num_days
    with pytest.raises(AttributeError):
        luck.spa = 0.0


WRONG = {
    "an index of times, got RangeIndex": lambda r: r.reset_index(drop=True),
    "at least 60 days with a row, got 59": lambda r: r.iloc[:59],
    "'r2' are not finite on 1 of 300 days, first 2022-01-17": lambda r: r.mask(
        (r.columns == "r2")[None, :] & (np.arange(300) == 10)[:, None]
    ),
    "not finite on 1 of 300 days": lambda r: r.replace(r.iloc[4, 1], np.inf),
    "fractions, not percents": lambda r: r * 100,
    "look like prices": lambda r: (1 + r).cumprod() * 100,
    "no column's returns vary": lambda r: r * 0,
    "times must increase": lambda r: r.iloc[::-1],
    "returns must be numbers": lambda r: r.astype(str) + "x",
    "no column of returns": lambda r: r.iloc[:, :0],
    "judge takes a vectorbt Portfolio": lambda r: r.to_numpy(),
}


@pytest.mark.parametrize("message", WRONG)
def test_returns_that_cannot_be_judged_are_refused_in_a_line(message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        cv.judge(WRONG[message](noise()))
    assert "\n" not in str(caught.value)


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least 5, got 4"):
        cv.judge(noise(), num_trials=4)
    with pytest.raises(ValueError, match="slippage is of orders"):
        cv.judge(noise(), slippage=0.001)
    with pytest.raises(ValueError, match="slippage is a share of the price"):
        cv.judge(crossings(prices(days=70)), slippage=5)
    with pytest.raises(ValueError, match="no return on 2022-01-05"):
        cv.judge(noise(), benchmark=noise()["r0"].drop(pd.Timestamp("2022-01-05")))
    with pytest.raises(TypeError, match="must be a Series"):
        cv.judge(noise(), benchmark=0.0)
    with pytest.raises(ValueError, match=r"benchmark: no value is negative .* look like prices"):
        cv.judge(noise(), benchmark=100 * (1 + noise()["r0"]).cumprod())


def test_portfolios_that_cannot_be_judged_are_refused():
    close = prices(days=70)["a0"]
    nothing = pd.Series(False, close.index)
    silent = vbt.Portfolio.from_signals(close, nothing, nothing, log=True)
    with pytest.raises(ValueError, match=r"has .*no order"):
        cv.judge(silent)
    rejected = vbt.Portfolio.from_orders(close, 1.0, min_size=100.0, log=True)
    with pytest.raises(ValueError, match="1680 log entries but no order"):
        cv.judge(rejected)
    entry = pd.Series(np.arange(len(close)) == 5, close.index)
    endless = vbt.Portfolio.from_signals(close, entry, nothing, init_cash=np.inf, size=1.0)
    with pytest.raises(ValueError, match="finite init_cash above 0, got inf"):
        cv.judge(endless)
    shorts = vbt.Portfolio.from_orders(
        close, np.where(np.arange(len(close)) == 5, -1.0, np.nan), init_cash=0.0
    )
    with pytest.raises(ValueError, match="finite init_cash above 0, got 0"):
        cv.judge(shorts)
    with pytest.raises(TypeError, match="index of times, got RangeIndex"):
        cv.judge(vbt.Portfolio.from_holding(close.reset_index(drop=True)))
