"""The page's figures for a notebook: plain `go.Figure`s of a sweep and its predictions.

Where an account is drawn, a cell is named by its levels, such as `threshold="q0.90", risk=0.01`;
without any it is the headline, whose rule was chosen anew at each split. The examples speak of a
sweep `res`, its predictions `preds` and its `bars`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convnext_vbt.errors import InputError
from convnext_vbt.evidence import confidence, returns
from convnext_vbt.evidence.accounts import Account, daily, daily_returns
from convnext_vbt.evidence.cells import Grid
from convnext_vbt.evidence.headline import headline
from convnext_vbt.evidence.scores import reliability
from convnext_vbt.evidence.sweep_table import rule_sharpes
from convnext_vbt.evidence.window import Window
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import CLASSES, Predictions
from convnext_vbt.report import formats, layout
from convnext_vbt.report.sections.equity import figures as equity
from convnext_vbt.report.sections.model import figures as model
from convnext_vbt.report.sections.returns.figures import monthly_figure
from convnext_vbt.report.sections.splits.figures import plot_splits
from convnext_vbt.report.sections.sweep.figures import plot_heatmap, rule_figure
from convnext_vbt.trading.sweep import SweepResult

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "plot_confidence",
    "plot_deciles",
    "plot_equity",
    "plot_heatmap",
    "plot_monthly_returns",
    "plot_reliability",
    "plot_rolling_sharpe",
    "plot_splits",
    "plot_thresholds",
]


def plot_equity(res: SweepResult, **cell: object) -> go.Figure:
    """Growth of 1 at daily closes beside buy-and-hold at the same costs, underwater below.

    The shaded bands are the test ranges of the splits.

    >>> [trace.name for trace in cv.plot_equity(res).data[::2]]
    ['buy and hold', 'headline']
    >>> cv.plot_equity(res, threshold="q0.90", risk=0.01).layout.yaxis.title.text
    'growth of 1'
    """
    account = _account(res, cell)
    own = account.symbols[0] if cell and len(account.symbols) == 1 else None
    hold = Account.of(Window(res).buy_and_hold(own))
    lines = [
        equity.Line(name="buy and hold", account=daily(hold), colour=layout.MUTED, width=1.4,
                     dash="dot"),
        equity.Line(name="strategy" if cell else "headline", account=daily(account),
                     colour=layout.BLUE, width=1.8, fill=layout.FILL),
    ]  # fmt: skip
    return equity.equity_figure(lines, bands=equity.split_bands(res))


def plot_monthly_returns(res: SweepResult, **cell: object) -> go.Figure:
    """Return of each calendar month (UTC), years down; months without a bar stay blank.

    >>> cv.plot_monthly_returns(res).data[0].type
    'heatmap'
    """
    account = _account(res, cell)
    return monthly_figure(returns.months_of(account.index), returns.monthly_returns(account))


def plot_rolling_sharpe(res: SweepResult, **cell: object) -> go.Figure:
    """Annual Sharpe ratio of the last 90 days, beside that of buy-and-hold.

    >>> len(cv.plot_rolling_sharpe(res).data)
    2
    """
    account = _account(res, cell)
    days = daily(account).days
    at = returns.rolling_days(len(days))
    year = res.bars.days_per_year
    shown = {"hold": Account.of(Window(res).buy_and_hold())}
    shown["cell" if cell else "headline"] = account
    lines = {name: returns.rolling_sharpe(daily_returns(one), year) for name, one in shown.items()}
    out = equity.rolling_figure(days[at].astype("datetime64[D]"), lines)
    out.data = [trace for trace in out.data if trace.meta in lines]
    return out


def plot_thresholds(res: SweepResult, **levels: object) -> go.Figure:
    """Sharpe ratio of each rule with its 90 % CI, number of trades below.

    At the smallest risk; `levels` fixes further swept levels by name, one that is left out is
    shown at its first value.

    >>> [trace.name for trace in cv.plot_thresholds(res).data]
    ['low', '90 % CI', 'Sharpe ratio', 'trades']
    """
    across = Grid.of(res.metrics).across
    fixed = {name: levels.get(name) for name in map(str, res.metrics.index.names)} | levels
    table = res.metrics.join(rule_sharpes(res).set_axis(res.metrics.index))
    for name, wanted in fixed.items():
        if name not in res.metrics.index.names:
            raise InputError(
                f"{name!r} is not a level of this sweep; there are {list(res.metrics.index.names)}"
            )
        values = table.index.get_level_values(name)
        if name == across:
            continue
        lowest = min(values) if name == "risk" else values[0]
        chosen = lowest if wanted is None else wanted
        if chosen not in values:
            raise InputError(f"{name} must be one of {list(values.unique())}, got {chosen!r}")
        table = table[values == chosen]
    rules = [formats.level_text(across, v) for v in table.index.get_level_values(across)]
    out = rule_figure(formats.level_label(across), rules)
    columns = ("sharpe_low", "sharpe_high", "rule_sharpe", "trades")
    for trace, name in zip(out.data, columns, strict=True):
        trace.update(x=list(range(len(rules))), y=table[name].to_numpy(np.float64))
    out.data[2].hovertext = rules
    return out


def plot_reliability(preds: Predictions, labels: Bars | np.ndarray, *, bins: int = 10) -> go.Figure:
    """Observed frequency of each class against its predicted probability.

    `labels` is the bars, from which the predictions' own labels are made, or int8 (T, N) with -1
    where there is none. `bins` equal-mass bins a class with 95 % Wilson intervals; on the dotted
    diagonal the probabilities are calibrated.

    >>> [note.text for note in cv.plot_reliability(preds, bars).layout.annotations]
    ['DOWN', 'STAY', 'UP']
    """
    values = _values(preds, labels)
    tables = {name: reliability(preds, values, cls, bins=bins) for cls, name in enumerate(CLASSES)}
    return model.reliability_figure(tables)


def plot_confidence(preds: Predictions, labels: Bars | np.ndarray) -> go.Figure:
    """How P(DOWN) and P(UP) were distributed over the bars of each actual class.

    `labels` as in `plot_reliability`. The further apart the outlines, the more the model knows.

    >>> type(cv.plot_confidence(preds, bars)).__name__
    'Figure'
    """
    found = confidence.outlines(preds, _values(preds, labels))
    return model.outline_figure(found)


def plot_deciles(res: SweepResult) -> go.Figure:
    """Net forward return by confidence decile, with its 90 % CI and the cost line.

    Raises `ValueError` where no horizon is known or no predicted bar has an outcome.

    >>> type(cv.plot_deciles(res)).__name__
    'Figure'
    """
    found = confidence.deciles_of(res)
    if found is None:
        raise InputError(
            "these predictions name no horizon, or no bar of theirs leans to a side and has an "
            "outcome; give from_frames a target"
        )
    return model.decile_figure(found)


def _values(preds: Predictions, labels: Bars | np.ndarray) -> np.ndarray:
    if not isinstance(labels, Bars):
        return labels
    if preds.target is None:
        raise InputError(
            "these predictions do not say what their probabilities speak of (no target); give "
            "the labels themselves, int8 (bars, symbols), instead of bars"
        )
    return labels_for(labels, preds.target).values


def _account(res: SweepResult, cell: dict[str, object]) -> Account:
    return Account.of(res.simulation(**cell)) if cell else headline(res).selection.account
