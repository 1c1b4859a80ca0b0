"""What the page does differently where several symbols share an account."""

import re
from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.evidence import cells
from convnext_vbt.evidence.cells import Grid
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.report.formats import format_number
from convnext_vbt.report.page import render
from convnext_vbt.trading.instruments import Instrument
from convnext_vbt.trading.sweep import SweepResult

from .markets import Page, caveats_of, make_bars, make_sweep, quick_render

SYMBOLS = ("A/USDT", "B/USDT")


def with_rates(rates: tuple[float, float] | None) -> SweepResult:
    """Twelve cells on two symbols; a rate is due every eighth bar, NaN: never."""
    bars = make_bars(*SYMBOLS)
    if rates is not None:
        due = np.where(np.arange(len(bars)) % 8 == 0, 1.0, np.nan)
        bars = replace(bars, funding=due[:, None] * np.array(rates))
    return make_sweep(bars=bars)


def carry(res: SweepResult, **cell) -> list[str]:
    notes = caveats_of(res, res.simulation(**cell), "the cell", num_rules=1, simulated=False)
    return [note for note in notes if "borrow" in note or "unding" in note]


def test_shorts_that_pay_a_borrow_rate_are_not_said_to_pay_none():
    lends = Instrument(borrow=0.03)
    bars = make_bars(*SYMBOLS)
    cell = {"threshold": "q0.70", "risk": 0.02}
    (some,) = carry(
        make_sweep(bars=bars, instruments={"default": Instrument(), "A/USDT": lends}), **cell
    )
    assert some.startswith("Shorts of B/USDT pay no borrow cost or funding here.")
    assert carry(make_sweep(bars=bars, instruments={"default": lends}), **cell) == []


def test_instruments_bring_their_table_and_figures_that_every_cell_has():
    bars = make_bars(*SYMBOLS)
    table = {
        "default": Instrument(lot=0.05, taker=0.001, slippage=0.0, borrow=0.03),
        "B/USDT": Instrument(taker=0.0003, slippage=0.0001),
    }
    res = make_sweep(bars=bars, instruments=table)
    page = Page.read(quick_render(res))
    figures = set(re.findall(r'<tr data-figure="(\w+)"', page.text))
    assert {"funding", "refused"} <= figures
    assert figures - {"sharpe_interval"} <= set(page.data["metrics"])  # which the script looks up
    refused = page.array(page.data["metrics"]["refused"])
    assert np.array_equal(refused, res.metrics["refused"].to_numpy())
    start = page.text.index('aria-label="Table of costs by symbol"')
    rows = page.text[start:].partition("</table>")[0].split("<tr>")[2:]
    found = [re.findall(r">([^<\n]+)</t[hd]>", row) for row in rows]
    assert [row[:6] for row in found] == [
        ["A/USDT", "10.0 bp", "none", "0.05", "3 %", "10.0 bp"],
        ["B/USDT", "3.0 bp", "fixed 1.0 bp", "–", "–", "4.0 bp"],
    ]
    assert "Table of costs by symbol" not in quick_render(make_sweep(bars=bars))


@pytest.fixture(scope="module")
def res():
    return with_rates((2e-4, -1e-4))


@pytest.fixture(scope="module")
def assessment(res):
    return assess(res, draws=40)


@pytest.fixture(scope="module")
def page(res, assessment):
    return Page.read(render(res, provenance={}, assessment=assessment))


def test_cells_are_accounts_and_not_symbols(page):
    text = page.text
    assert "splits · 12 cells" in text
    assert "12 cells here" in text
    assert "4 thresholds × 3 risk fractions, each an account of its own" in text
    assert "2 symbols on one account." in text
    assert "every cell are in this file." in text
    assert text.count('href="#symbols"') == text.count('id="symbols"') == 1


def test_of_a_large_panel_each_symbol_has_series_in_the_first_cell_alone(
    res, assessment, monkeypatch
):
    grid = Grid.of(res.metrics)
    assert cells.chosen_rows(res, grid, [0]) == list(range(36))
    monkeypatch.setattr(cells, "MAX_CELLS", 30)
    rows = cells.chosen_rows(res, grid, [4])
    alone = [row for row in rows if grid.cell(row)["symbol"] != "total"]
    assert alone == [4, 5]
    assert len(rows) == 12 + 2
    text = render(res, provenance={}, assessment=assessment)
    assert "for 12 of them" in text
    assert "For each of the 2 symbols alone: those of the first one shown." in text
    monkeypatch.setattr(cells, "MAX_BYTES", 0)
    fewest = cells.chosen_rows(res, grid, [4])
    assert {3, 4, 5} < set(fewest) < set(rows)
    assert res.whole_accounts[fewest].sum() == len(fewest) - 2


def test_funding_is_a_line_beside_the_costs(res, assessment, page):
    paid = assessment.headline.selection.simulation.funding.sum()
    assert f"<td>{format_number(paid, 'money')}</td>" in page.text
    assert "Funding paid, quote currency" in page.text
    found = page.array(page.data["metrics"]["funding"])
    assert np.array_equal(found, res.metrics["funding"].to_numpy())
    row = page.text[page.text.index('data-figure="funding"') :].partition("</tr>")[0]
    assert format_number(paid, "money") in row
    without = make_sweep(bars=make_bars(*SYMBOLS, bars=1_500), threshold="q0.70", risk=0.01)
    assert 'data-figure="funding"' not in quick_render(without)


def test_who_pays_nothing_for_a_position_is_named_symbol_by_symbol(res):
    assert carry(res, threshold="q0.90", risk=0.01) == []
    (neither,) = carry(with_rates(None), threshold="q0.90", risk=0.01)
    assert neither.startswith("Shorts pay no borrow cost or funding here.")
    mixed = with_rates((2e-4, np.nan))
    unknown, shorts = carry(mixed, threshold="q0.90", risk=0.01)
    assert "No funding rates for B/USDT: none was paid or received there." in unknown
    assert shorts.startswith("Shorts of B/USDT pay no borrow cost")
    assert carry(mixed, threshold="q0.90", risk=0.01, symbol="A/USDT") == []


def test_the_caps_that_symbols_share_are_named():
    res = make_sweep(bars=make_bars(*SYMBOLS), threshold="q0.70", risk=0.05)
    done = res.simulation()
    assert done.trades["capped"].mean() > 0.05
    notes = caveats_of(res, done, "the cell", num_rules=1, simulated=False)
    caps = "hit the size cap of 1 × equity or of 6 % of open risk, all symbols together, and"
    assert sum(caps in note for note in notes) == 1
