"""The page's figures in time and of trades, as frames that its script fills for any cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from convnext_vbt.report import accounts, figures, layout, payload, returns, trade_figures
from convnext_vbt.report.accounts import Account
from convnext_vbt.report.tables import quote_currency
from convnext_vbt.trading.sweep import SweepResult

_NONE = np.zeros(0)


def time_figures(
    res: SweepResult,
    head: Account,
    ranges: list[tuple[int, int]],
    intervals: np.ndarray,
    pool: payload.Pool,
) -> dict[str, Any]:
    """Frames by name; "fan" are the quantiles of the headline's resampled histories."""
    year = res.bars.days_per_year
    fan = returns.bootstrap_fan(accounts.daily_returns(head))
    months = returns.months_of(res.window_bars.index)
    counts, edges = np.zeros(1, dtype=np.int64), np.array([0.0, 1.0])
    frames = {
        "heatmap": figures.plot_heatmap(res),
        "equity": _equity(res, head, fan),
        "price": trade_figures.price_figure(
            head.index[:0].to_numpy(), _NONE, {}, quote=quote_currency(res.bars.symbols)
        ),
        "rolling": trade_figures.rolling_figure(_NONE, {}),
        "monthly": trade_figures.monthly_figure(months, np.zeros(len(months))),
        "frontier": trade_figures.frontier_figure([]),
        "excursions": trade_figures.excursion_figure(_NONE, _NONE, _NONE),
        "trade_returns": trade_figures.histogram_figure(
            counts, edges, what="trades", title="net return of a trade, %"
        ),
        "holding": trade_figures.histogram_figure(
            counts, edges, what="trades", title="bars held", digits=0
        ),
    }
    out: dict[str, Any] = {
        name: payload.figure_json(figure, with_data=False) for name, figure in frames.items()
    }
    if fan is not None:
        out["fan"] = {str(k): pool.add(growth, "f4") for k, growth in enumerate(fan.growth)}
    if res.predictions.splits:
        labels = [str(split.number + 1) for split in res.predictions.splits]
        sharpes = returns.split_sharpes(head, ranges, year)
        out["split_sharpes"] = payload.figure_json(
            trade_figures.split_figure(labels, sharpes, intervals)
        )
        out["splits"] = payload.figure_json(figures.plot_splits(res.predictions))
    return out


def _equity(res: SweepResult, head: Account, fan: returns.Fan | None) -> Any:
    day = accounts.daily(head.index, head.equity, head.init_cash)
    lines = [
        figures.Line(name="buy and hold", account=day, colour=layout.MUTED, width=1.3, dash="dot"),
        figures.Line(name="selected cell", account=day, colour=layout.ORANGE, width=1.2),
        figures.Line(name="headline", account=day, colour=layout.BLUE, width=2.6, fill=layout.FILL),
    ]
    return figures.equity_figure(lines, bands=figures.split_bands(res), fan=fan)
