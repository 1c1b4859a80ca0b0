import json
from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.evidence.by_symbol import figures_by_symbol
from convnext_vbt.evidence.headline import headline
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.report.sections.symbols.section import symbol_table
from convnext_vbt.trading.sweep import TOTAL
from tests.evidence.markets import make_bars, make_predictions, make_sweep


@pytest.fixture(scope="module")
def result():
    pair = make_bars(symbols=2)
    funding = np.where(np.arange(len(pair)) % 8 == 0, 2e-4, np.nan)[:, None] * np.ones(2)
    return make_sweep(replace(pair, funding=funding), make_predictions(pair))


def test_what_symbols_brought_adds_up_to_the_account(result):
    head = headline(result)
    account = head.selection.simulation
    table = figures_by_symbol(account)
    assert table.index.tolist() == ["S0", "S1", TOTAL]
    for name in ("profit", "total_return", "trades", "funding"):
        assert table[name].iloc[:2].sum() == pytest.approx(table.loc[TOTAL, name], rel=1e-9)
    assert table.loc[TOTAL, "total_return"] == pytest.approx(head.total_return, rel=1e-12)
    assert table.loc[TOTAL, "max_drawdown"] == pytest.approx(head.max_drawdown, rel=1e-12)
    own = account.trades[account.trades["col"] == 1]
    assert table.loc["S1", "profit"] == pytest.approx(own["pnl"].sum(), rel=1e-9)
    assert table.loc["S1", "win_rate"] == (own["pnl"][own["status"] == 1] > 0).mean()
    assert table.loc["S1", "long_share"] == (own["direction"] == 0).mean()
    assert table.loc["S1", "funding"] == pytest.approx(own["funding"].sum(), rel=1e-9)


def test_metrics_have_them_only_where_there_are_several(result):
    value = assess(result, draws=20).to_dict()
    json.dumps(value, allow_nan=False)
    assert list(value["symbols"]) == ["S0", "S1", TOTAL]
    heads, rows = symbol_table(figures_by_symbol(headline(result).selection.simulation))
    assert heads[0] == "Symbol"
    assert [row[0] for row in rows] == ["S0", "S1", TOTAL]
    assert len({len(row) for row in [heads, *rows]}) == 1
    bars = make_bars()
    lone = make_sweep(bars, make_predictions(bars))
    assert "symbols" not in assess(lone, draws=20).to_dict()
