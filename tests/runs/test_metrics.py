"""metrics.json has every figure that the page shows, in JSON's own types."""

import html
import json
import re

import pytest

from convnext_vbt.cli.terminal import print_run
from convnext_vbt.evidence.nulls import NULLS
from convnext_vbt.report.formats import FIGURE, format_interval, format_number
from convnext_vbt.runs.config import load_config
from convnext_vbt.runs.run import run
from tests.strategies import write_tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")

COLUMNS = {
    "headline": "headline",
    "chosen": "strategy_cell",
    "fixed": "strategy_cell",
    "hold": "buy_and_hold",
    "cash": "cash",
    "random": "random_sides",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    told = (  # a market and features by which something is worth trading
        ("seed=5", "seed=1,edge=2"),
        ('"candle_upper_wick", "hour_sin"', '"bollinger_percent_b_20", "stochastic_k_14"'),
    )
    strategy = write_tiny(home, *told)
    config = load_config(strategy, ["rule.min_edge=0.5", "trading.fees=0.0001"])
    return run(config, out=home / "reports", jobs=1)


@pytest.fixture(scope="module")
def metrics(done):
    return json.loads((done.directory / "metrics.json").read_text())


@pytest.fixture(scope="module")
def page(done):
    return done.report.read_text()


def text_of(figures, name):
    if name == "sharpe_interval":
        if "sharpe_low" not in figures:
            return "–"
        low, high = (
            float("nan") if figures[end] is None else figures[end]
            for end in ("sharpe_low", "sharpe_high")
        )
        return format_interval(low, high)
    if name not in figures:
        return "–"
    return format_number(figures[name], FIGURE[name].kind, trades=figures.get("trades"))


def test_every_number_of_the_first_table_is_there(metrics, page):
    rows = re.findall(r'<tr data-figure="(\w+)">(.*?)</tr>', page, re.DOTALL)
    assert {name for name, _ in rows} == set(FIGURE) - {"funding", "refused"}
    numbers = 0
    for name, row in rows:
        cells = dict(re.findall(r'<td class="(\w+)">([^<]*)</td>', row))
        assert set(cells) == set(COLUMNS)
        for css, shown in cells.items():
            assert html.unescape(shown) == text_of(metrics["key_figures"][COLUMNS[css]], name), (
                name,
                css,
            )
            numbers += any(digit.isdigit() for digit in shown)
    assert numbers > 70


def test_the_other_tables_are_there_too(metrics, page):
    for point in metrics["costs"]:
        for name in ("cagr", "sharpe", "max_drawdown"):
            assert f"<td>{format_number(point['figures'][name], FIGURE[name].kind)}</td>" in page
    for split in metrics["split_figures"]:
        assert format_number(split["total_return"], "percent") in page
        assert format_number(split["sharpe"], "ratio") in page
    for row in metrics["model"]["deciles"]:
        assert f"<td>{format_number(row['net'], 'basis_points')}</td>" in page
    counts = [row[name] for row in metrics["model"]["confusion"].values() for name in row]
    assert sum(counts) == sum(split["bars"] for split in metrics["splits"])
    assert metrics["deflation"]["headline"]["dsr"] == metrics["headline"]["dsr"]
    assert metrics["overfitting"]["probability"] == metrics["hindsight"]["pbo"]


def test_what_bars_do_not_tell_is_of_the_headlines_account(metrics):
    found, head = metrics["within_bars"], metrics["key_figures"]["headline"]
    assert (found["total_return"], found["sharpe"]) == (head["total_return"], head["sharpe"])
    assert found["exits"] == head["trades"] - metrics["concerns"]["open_trades"]
    assert found["ambiguous_share"] == found["ambiguous_exits"] / found["exits"]
    assert metrics["costs_by_symbol"] == []  # no instruments


def test_claims_of_direction_are_there_as_the_page_tells_them(metrics, page):
    found = metrics["direction"]
    text = html.unescape(page)
    assert found["sentence"].replace("-", "−") in text.replace("-", "−")
    assert found["bars"] == sum(split["bars"] for split in found["splits"])
    assert found["bars"] == sum(row["bars"] for row in found["reliability"])
    table = text[text.index('aria-label="Direction by split"') :].partition("</table>")[0]
    for split in found["splits"]:
        slope = split["slope"]
        assert f">{format_number(slope['value'], 'ratio')}<" in table
        assert format_interval(slope["low"], slope["high"]) in table
    assert set(found["models"]) == {"convnext", "majority", "logistic"}
    assert found["models"]["convnext"]["slope"] == found["slope"]
    column = text[text.index('aria-label="Table of baselines"') :].partition("</table>")[0]
    for model in found["models"].values():
        if model["slope"]["value"] is not None:
            assert f"<td>{format_number(model['slope']['value'], 'ratio')} (" in column


def test_every_null_that_was_drawn_is_there_in_one_form(metrics, page):
    drawn = [test for test in NULLS if not test.retrains]
    assert set(metrics["nulls"]) == {test.name for test in drawn}
    for test in drawn:
        null = metrics["nulls"][test.name]
        assert null["num_draws"] == 1_000
        assert f"<h3>{test.question}</h3>" in page
        assert f"p = {null['p_value']:.3f}" in page
    old = metrics["random_sides"]
    for name in ("p_value", "reason", "median_sharpe", "median_return"):
        assert metrics["nulls"]["random_sides"][name] == old[name]
    assert metrics["retrained_nulls"] == {}


def test_how_often_it_waited_is_on_the_page_and_in_the_terminal(done, metrics, page, capsys):
    waiting = metrics["waiting"]
    assert waiting["min_edge"] == 0.5
    assert 0 < waiting["waited"] <= waiting["predictions"]
    said = waiting["sentence"]
    assert said.startswith(f"It waited on {waiting['waited']:,} of {waiting['predictions']:,} ")
    assert said.replace(" x ", " × ").replace(" -", " −") in page.replace("&#39;", "'")
    print_run(done)
    assert said in capsys.readouterr().out
