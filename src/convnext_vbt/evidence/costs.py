"""The headline's own signals, traded again at other costs, and what each symbol paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from convnext_vbt.evidence import measures
from convnext_vbt.evidence.accounts import Account, Figures, cost_a_side, key_figures
from convnext_vbt.evidence.headline import Headline
from convnext_vbt.evidence.window import Window
from convnext_vbt.trading.instruments import Instrument, instrument_of
from convnext_vbt.trading.sweep import SweepResult

COST_MULTIPLES = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """The headline's signals traded again at a multiple of the costs."""

    multiple: int
    basis_points: float
    """Fees and slippage a side."""
    figures: Figures


def traded_again(window: Window, head: Headline, *, cost_multiple: int) -> Account:
    """The headline's signals at a multiple of fees and slippage.

    Sizes shrink with costs, because the loss at a stop counts them; times and sides stay.
    """
    chosen = head.selection
    simulation = window.simulate(
        chosen.signals, chosen.brackets, risk=head.risk, cost_multiple=float(cost_multiple)
    )
    return Account.of(simulation)


def cost_points(
    res: SweepResult, head: Headline, known: Mapping[int, Account]
) -> tuple[CostPoint, ...]:
    """At no, the given, doubled and tripled costs; `known` are accounts by their multiple."""
    window, config = Window(res), res.config
    out = []
    for multiple in COST_MULTIPLES:
        account = known.get(multiple) or traded_again(window, head, cost_multiple=multiple)
        out.append(
            CostPoint(
                multiple=multiple,
                basis_points=cost_a_side(account, config.times_costs(multiple)) * 1e4,
                figures=key_figures(account, window.bars),
            )
        )
    return tuple(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolCosts:
    """What a symbol of the headline's account is charged, and what it paid."""

    symbol: str
    instrument: Instrument
    taker: float
    """The instrument's own or that of all, as a share of the notional."""
    slippage: float
    """Likewise, as a share of the price; half-spread and the like come beside it."""
    orders: int
    paid: float
    """Fees and slippage of its orders, in money."""
    a_side: float
    """The same as a share of what its orders traded; NaN without any."""


def costs_by_symbol(res: SweepResult, account: Account) -> tuple[SymbolCosts, ...]:
    """One for each column of the account; none where one fee and one slippage hold for all."""
    config, out = res.config, []
    for column, symbol in enumerate(account.symbols if config.instruments else ()):
        one = instrument_of(config.instruments, symbol)
        orders = account.orders[account.orders["col"] == column]
        paid = float(measures.order_costs(orders).sum())
        out.append(
            SymbolCosts(
                symbol=symbol,
                instrument=one,
                taker=config.fees if one.taker is None else one.taker,
                slippage=config.slippage if one.slippage is None else one.slippage,
                orders=len(orders),
                paid=paid,
                a_side=measures.ratio(paid, measures.traded_value(orders)),
            )
        )
    return tuple(out)
