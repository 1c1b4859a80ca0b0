import html
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from convnext_vbt.evidence.baselines import compare
from convnext_vbt.evidence.gathering import gather
from convnext_vbt.evidence.ledger import Trials
from convnext_vbt.evidence.scores import score_splits
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.report.formats import FIGURES, format_interval, format_number
from convnext_vbt.report.notebook import plot_equity
from convnext_vbt.report.page import render, write_report
from convnext_vbt.trading.sweep import sweep
from tests.report.ledger import sharpe_probability
from tests.report.markets import FIXED, Page, make_bars, make_sweep, quick_render

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")
TRIALS = Trials(num_runs=5, num_rules=40, variance=0.003)
NAMES = {"convnext": "network", "logistic": "logistic regression"}


@pytest.fixture(scope="module")
def res():
    return make_sweep()


@pytest.fixture(scope="module")
def assessment(res):
    return assess(res, preset=Preset(risk=0.01), trials=TRIALS, draws=199)


@pytest.fixture(scope="module")
def page(res, assessment):
    text = render(res, selected=FIXED, provenance={}, assessment=assessment)
    return Page.read(text)


@pytest.fixture(scope="module")
def small():
    """One cell of few bars, for what is written in words: its page is made in half the time."""
    return make_sweep(bars=make_bars(bars=1_500), threshold="q0.70", risk=0.01)


@pytest.fixture(scope="module")
def small_assessment(small):
    return assess(small, draws=40)


def words(text):
    """The visible text of a page, without tags."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


def key_table(page):
    """The key figures as they stand on the page, by figure and column."""
    rows = re.findall(r'<tr data-figure="(\w+)">(.*?)</tr>', page.text, re.DOTALL)
    return {name: dict(re.findall(r'<td class="(\w+)">([^<]*)</td>', row)) for name, row in rows}


def ledger(simulation, bars):
    """Money of the account at every close, rebuilt from the orders alone."""
    money = np.full(len(bars), float(simulation.init_cash))
    for order in simulation.orders:
        sign = -1.0 if order["side"] else 1.0
        close = pd.Series(bars.close[:, order["col"]]).ffill().to_numpy()
        held = sign * order["size"] * (close - order["price"]) - order["fees"]
        money[order["idx"] :] += held[order["idx"] :]
    return pd.Series(money, index=bars.index)


def test_the_verdict_comes_before_everything_else(res, assessment, page):
    text = page.text
    places = [text.index(f'id="{name}"') for name in ("verdict", "controls", "key", "sweep")]
    assert places == sorted(places)
    assert text.index('id="verdict"') < text.index('class="facts"')
    section = words(text[places[0] : places[1]])
    assert f"Verdict {assessment.verdict.word}" in section
    for reason in assessment.verdict.reasons:
        assert re.sub(r"-(?=\d)", "−", reason.text) in section
    head = assessment.headline
    for value in (
        format_number(head.total_return, "percent"), format_number(head.sharpe, "ratio"),
        format_number(head.max_drawdown, "percent"), f"{head.trades:,}",
        f"random sides: p = {assessment.random_sides.p_value:.3f}",
        f"p = {assessment.random_times.p_value:.3f}", "5 strategies tried",
    ):  # fmt: skip
        assert value in section, value


@pytest.mark.parametrize(
    "word", ["PASS", *(pytest.param(e, marks=pytest.mark.slow) for e in ("INCONCLUSIVE", "FAIL"))]
)
def test_each_verdict_has_a_word_and_a_shape_of_its_own(small, small_assessment, word):
    verdict = replace(small_assessment.verdict, word=word)
    judged = replace(small_assessment, verdict=verdict)
    text = render(small, provenance={}, assessment=judged)
    assert f'class="verdict {word.lower()}"' in text
    shape = {"PASS": "<circle", "INCONCLUSIVE": "M24 5l21 37H3z", "FAIL": "M16 4h16"}
    assert [name for name, mark in shape.items() if mark in text] == [word]


def test_two_arguments_give_the_whole_page(small, tmp_path):
    text = write_report(small, tmp_path / "report.html").read_text()
    assert "Verdict" in words(text)
    assert "1 strategy tried on this data" in text  # no ledger: this sweep alone


def test_the_headline_column_equals_a_ledger_rebuilt_from_its_orders(res, assessment, page):
    simulation, bars = assessment.headline.selection.simulation, res.window_bars
    equity = ledger(simulation, bars)
    day = equity.groupby(equity.index.normalize()).last()
    returns = day / day.shift(fill_value=10_000.0) - 1
    ratio = returns.mean() / returns.std()
    path = np.append(10_000, equity)
    days, gamma = len(returns), 0.5772156649
    best = (1 - gamma) * norm.ppf(1 - 1 / 5) + gamma * norm.ppf(1 - 1 / (5 * math.e))
    orders = pd.DataFrame(simulation.orders)
    raw = orders["price"] / np.where(orders["side"] == 1, 1 - 0.0002, 1 + 0.0002)
    costs = (orders["fees"] + orders["size"] * (orders["price"] - raw).abs()).sum()
    wanted = {
        "total_return": equity.iloc[-1] / 10_000 - 1,
        "cagr": (equity.iloc[-1] / 10_000) ** (8_760 / len(bars)) - 1,
        "sharpe": ratio * math.sqrt(365),
        "volatility": returns.std() * math.sqrt(365),
        "max_drawdown": (path / np.maximum.accumulate(path) - 1).min(),
        "psr": sharpe_probability(returns),
        "dsr": sharpe_probability(returns, best / math.sqrt(days)),
        "costs": costs,
        "break_even": (equity.iloc[-1] - 10_000 + costs) / (orders["size"] * orders["price"]).sum(),
        "trades": len(simulation.trades),
    }
    kinds = {figure.name: figure.kind for figure in FIGURES}
    shown = {name: row["headline"] for name, row in key_table(page).items()}
    for name, value in wanted.items():
        assert shown[name] == format_number(float(value), kinds[name]), name
    drawn = page.array(page.data["headline"]["net"]["growth"])
    np.testing.assert_allclose(drawn, day / 10_000, atol=5.1e-5)


def test_the_other_columns_say_what_they_are(res, assessment, page):
    table = key_table(page)
    assert set(table) == {figure.name for figure in FIGURES} - {"funding", "refused"}
    null = assessment.random_sides
    assert table["total_return"]["random"] == format_number(
        np.median(null.total_returns), "percent"
    )
    assert table["sharpe"]["random"] == format_number(np.median(null.draws), "ratio")
    assert table["sharpe"]["hold"] == format_number(assessment.buy_and_hold_sharpe, "ratio")
    assert table["total_return"]["cash"] == "0.0 %"
    own = res.metrics.droplevel("symbol").loc[("q0.90", 0.01)]
    for column in ("fixed", "chosen"):
        assert table["sharpe"][column] == format_number(own["sharpe"], "ratio")
    assert table["dsr"]["hold"] == "–"


def test_what_was_chosen_for_each_split_is_in_its_row():
    res = make_sweep(splits=5, threshold=["q0.20", "q0.40", "q0.60", "q0.90"], risk=0.01)
    assessment = assess(res, draws=40)
    page = Page.read(render(res, provenance={}, assessment=assessment))
    choices = assessment.headline.selection.choices
    assert choices["threshold"].nunique() > 1
    cells = re.findall(r'<td title="([^"]*)" class="text">(q0\.\d+)</td>', page.text)
    assert [rule for _, rule in cells] == choices["threshold"].tolist()
    for (why, _), reason in zip(cells, choices["reason"], strict=True):
        assert why.startswith(reason)
    chained = np.prod(1 + page.array(page.data["headline"]["splits"]["return"]).astype(float)) - 1
    assert chained == pytest.approx(assessment.headline.total_return, abs=1e-6)


def test_costs_are_those_of_the_same_signals_traded_again(res, assessment):
    head = assessment.headline
    costs = gather(res, assessment=assessment).costs
    for cost in costs:
        again = sweep(
            res.bars, res.predictions, signals=head.selection.signals, risk=head.risk,
            fees=0.0005 * cost.multiple, slippage=0.0002 * cost.multiple,
        ).metrics.iloc[0]  # fmt: skip
        assert cost.basis_points == pytest.approx(7.0 * cost.multiple)
        for name in ("cagr", "sharpe", "max_drawdown", "costs"):
            assert cost.figures[name] == pytest.approx(again[name]), (cost.multiple, name)
    doubled = costs[2].figures["sharpe"]
    assert doubled == pytest.approx(assessment.doubled_costs_sharpe)


def test_both_deflations_show_their_n_v_and_sr0(res, assessment):
    evidence = gather(res, assessment=assessment)
    own, best = evidence.deflated_headline, evidence.deflated_best
    assert (own.num_trials, own.variance) == (5, 1 / assessment.headline.num_days)
    assert (best.num_trials, best.variance) == (40, 0.003)
    gamma = 0.5772156649
    for row in (own, best):
        n = row.num_trials
        unit = (1 - gamma) * norm.ppf(1 - 1 / n) + gamma * norm.ppf(1 - 1 / (n * math.e))
        assert row.expected == pytest.approx(unit * math.sqrt(row.variance * 365))
    assert best.sharpe == assessment.hindsight.sharpe


def test_the_histogram_counts_every_draw(page, assessment):
    table = page.text[page.text.index("Random sides as a table") :].partition("</table>")[0]
    counts = re.findall(r"<td>([\d,]+)</td></tr>", table)
    assert sum(int(count) for count in counts) == 199
    line = page.data["figures"]["random_sides"]["layout"]["shapes"][0]
    assert line["x0"] == pytest.approx(assessment.random_sides.observed)


def test_the_best_cell_is_called_what_it_is(page, assessment):
    text = words(page.text)
    assert "Best cell in hindsight" in text
    assert "It could not have been traded" in text
    assert "the headline does not use it" in text


def test_one_side_only_says_why_there_is_no_null():
    res = make_sweep(bars=make_bars(bars=1_500), threshold="q0.80", risk=0.01, short=False)
    text = words(quick_render(res))
    assert "the positions of each symbol are all on one side" in text


@pytest.mark.slow
def test_a_panel_is_one_account():
    bars = make_bars("A/USDT", "B/USDT", bars=1_500)
    res = make_sweep(bars=bars, threshold=["q0.70", "q0.90"], risk=0.01)
    assessment = assess(res, draws=40)
    page = Page.read(render(res, provenance={}, assessment=assessment))
    simulation = assessment.headline.selection.simulation
    equity = ledger(simulation, res.window_bars)
    total = equity.iloc[-1] / 10_000 - 1
    assert assessment.headline.total_return == pytest.approx(total)
    assert key_table(page)["total_return"]["headline"] == format_number(total, "percent")
    assert page.data["headline"]["symbols"] == ["A/USDT", "B/USDT"]
    numbers = page.array(page.data["headline"]["trades"]["symbol"])
    assert np.bincount(numbers).tolist() == np.bincount(simulation.trades["col"]).tolist()
    assert "All 2 symbols share one account" in page.text


def test_baselines_stand_beside_the_network(small, page):
    other = make_sweep(bars=small.bars, threshold=["q0.50", "q0.60"], risk=0.01)
    results = {"convnext": small, "logistic": other}
    found = compare(results, preset=Preset(risk=0.01), names=NAMES)
    text = quick_render(small, baselines=found)
    assert html.escape(found.sentences[0].replace(" -", " −")) in text
    table = text[text.index("Table of baselines") :].partition("</table>")[0]
    row = found.table.loc["logistic"]
    assert "logistic regression" in table
    for name, kind in (("cagr", "percent"), ("sharpe", "ratio")):
        assert f"<td>{format_number(row[name], kind)}</td>" in table
    # On the page it is the network minus the other.
    assert f"<td>{format_number(-row['difference'], 'ratio')}</td>" in table
    interval = format_interval(-row["difference_high"], -row["difference_low"])
    assert f"<td>{interval}</td>" in table
    assert "Base rates are one constant" not in text
    assert 'id="baselines"' not in page.text


def test_a_network_that_added_nothing_is_marked(small):
    made = small.predictions
    fits = tuple(replace(fit, epochs=0 if fit.number == 1 else 7) for fit in made.fits)
    idle = replace(small, predictions=replace(made, fits=fits))
    results, preset = {"convnext": idle, "logistic": small}, Preset(risk=0.01)
    on_base = compare(results, base="logistic", preset=preset, names=NAMES)
    text = quick_render(idle, baselines=on_base)
    assert text.count("<td>0: network added nothing") == 1
    assert (
        "What the network says is weighed out of fold beside all that logistic regression reads"
        in text
    )
    assert "Network minus logistic regression alone: Sharpe 0.00, no difference." in text
    apart = quick_render(idle, baselines=compare(results, preset=preset, names=NAMES))
    assert "network added nothing" not in apart
    assert "What the network says is weighed" not in apart


@pytest.mark.slow
def test_a_network_that_is_taken_as_it_is_has_no_steps(small, page):
    made = small.predictions
    fits = tuple(replace(fit, epochs=None) for fit in made.fits)
    text = quick_render(replace(small, predictions=replace(made, fits=fits)))
    assert ">Steps</th>" in page.text
    assert ">Steps</th>" not in text
    tag = '<span class="tag">did not learn</span></td>'
    assert page.text.count(tag) == text.count(tag) == 1


def test_coverage_is_shown_where_there_are_conformal_sets(small, page):
    preds = small.predictions
    spread = np.tile(np.linspace(0.2, 0.8, 1001), (len(preds.splits), 1))
    fits = tuple(replace(fit, num_scores=300) for fit in preds.fits)
    sets = replace(preds, nonconformity=spread, fits=fits)
    text = quick_render(replace(small, predictions=sets))
    row = score_splits(sets, labels_for(small.bars, sets.target).values).iloc[0]
    assert f"<td>{row['coverage_90']:.3f} / {row['set_size_90']:.1f}</td>" in text
    assert "Coverage / set" not in page.text


def test_the_trials_of_the_ledger_are_named(page):
    assert "5 strategies and 40 rules so far" in page.text
    assert "40 distinct rules on this data" in page.text


def test_buy_and_hold_of_the_equity_figure_is_at_the_strategys_costs():
    res = make_sweep(threshold="q0.90", risk=0.01)
    drawn = plot_equity(res).data[0].y[-1]
    bars = res.window_bars
    price = bars.open[1, 0] * (1 + 0.0002)
    assert drawn == pytest.approx(bars.close[-1, 0] / price / (1 + 0.0005))
