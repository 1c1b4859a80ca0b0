"""Everything that the trading kernel reads: money and costs, checks, arrays with time last.

Dimensions: T bars, N symbols, C columns, A accounts (rules), K columns of one account.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from convnext_vbt.errors import InputError
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.gaps import bar_clock
from convnext_vbt.trading import kernel
from convnext_vbt.trading.arguments import check_number
from convnext_vbt.trading.brackets import Brackets
from convnext_vbt.trading.codes import ABSENT, ENTER_LONG, ENTER_SHORT, LEAVE, UNTRADED
from convnext_vbt.trading.instruments import NO_INSTRUMENTS, Instrument, Instruments, are_inverse
from convnext_vbt.trading.leaving import leave_rows, read_leave_at
from convnext_vbt.trading.signals import Rules

SizeType = Literal["risk", "notional", "value"]
Trail = Literal["none", "close", "extreme"]
TRAILS: dict[Trail, int] = {"none": 0, "close": kernel.BY_CLOSE, "extreme": kernel.BY_EXTREME}

LONGEST_HOLIDAY = pd.Timedelta(days=5)
"""From Thursday's close to Tuesday's open at Easter: more than exchanges otherwise rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationConfig:
    """Money and costs. `stop`, `take_profit` and `max_holding` default to the label's own."""

    risk: float = 0.01
    """Share of equity that a stopped trade of full size loses, costs included."""
    fees: float = 0.0005
    """Share of the traded notional, per order."""
    slippage: float = 0.0002
    """Share of the price that every fill is worse by."""
    max_leverage: float = 1.0
    """Most that all positions together may be worth, in equities."""
    init_cash: float = 10_000.0
    """Money that each account starts with."""
    stop: float | None = None
    """Stop distance as a fraction of the fill price; none: the label's opposite barrier."""
    take_profit: float | None = None
    """Take-profit distance; none: the label's barrier, or no take-profit when `stop` is given."""
    max_holding: int | None = None
    """Bars held at most; none: the label's horizon, or no limit when `stop` is given."""
    max_open_risk: float = 0.06
    """Most that all open stops of an account of several symbols may lose together, as a share of
    its equity; entries beyond it are cut pro rata."""
    trail: Trail = "none"
    """What the stop follows at its distance, never back, from the next bar on: each bar's "close",
    its "extreme" (a long's high, a short's low), or nothing."""
    break_even: float | None = None
    """Gain, in stop distances, at which the stop moves to where the trade makes nothing, costs
    included; none: it does not."""
    take_profit_ladder: tuple[tuple[float, float], ...] = ()
    """Partial exits: (multiple of the take-profit distance, share of the entry's size) each, the
    multiples ascending; shares of less than 1 in all leave the rest to the other exits."""
    leave_at: str | None = None
    """Time of day from which on positions are left and none are entered until the day is over,
    "15:55" (UTC) or "15:55 America/New_York", or "session end"."""
    limit_offset: float | None = None
    """Enter by a limit order so far below the signal's close (a short: above), as a fraction of
    it, in [0, 1); none: at the open."""
    limit_bars: int = 1
    """Bars of the symbol's own that such an order rests, the one it is placed at included."""
    instruments: Mapping[str, Instrument] = NO_INSTRUMENTS
    """What each symbol is, "default" standing for those without an entry; empty: steps, fees and
    margins of nobody. In a strategy file these are the tables [instruments."BTC/USDT"]."""

    def __post_init__(self) -> None:
        for name in ("risk", "fees", "slippage", "max_leverage", "init_cash", "max_open_risk"):
            check_number(name, getattr(self, name))
        for name in ("stop", "take_profit", "max_holding", "break_even", "limit_offset"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name))
        if not 0 < self.risk <= 1:
            raise InputError(f"risk must lie in (0, 1], got {self.risk}; 0.01 risks 1 % a trade")
        for name in ("fees", "slippage"):
            value = getattr(self, name)
            if not 0 <= value < 0.5:
                raise InputError(f"{name} must lie in [0, 0.5), got {value}; 0.0005 is 5 bp")
        for name in ("max_leverage", "init_cash", "max_open_risk"):
            value = getattr(self, name)
            if not (value > 0 and np.isfinite(value)):
                raise InputError(f"{name} must be positive and finite, got {value}")
        _check_exits(self)
        _check_limit(self)
        object.__setattr__(self, "take_profit_ladder", _checked_ladder(self.take_profit_ladder))
        if not isinstance(self.instruments, Instruments):
            object.__setattr__(self, "instruments", Instruments(self.instruments))

    def at_open_and_whole(self) -> SimulationConfig:
        """The same, but entered at the open, whole, and held.

        Without limit, cap on the bar's volume, ladder, time to leave and stop that moves.
        """
        whole = {s: replace(one, max_volume_share=None) for s, one in self.instruments.items()}
        return replace(
            self,
            instruments=Instruments(whole),
            trail="none",
            break_even=None,
            take_profit_ladder=(),
            leave_at=None,
            limit_offset=None,
            limit_bars=1,
        )

    def times_costs(self, multiple: float) -> SimulationConfig:
        """The same with all costs times `multiple`, those of instruments too."""
        instruments = {s: one.times_costs(multiple) for s, one in self.instruments.items()}
        return replace(
            self,
            fees=self.fees * multiple,
            slippage=self.slippage * multiple,
            instruments=Instruments(instruments),
        )


def _check_exits(config: SimulationConfig) -> None:
    if config.stop is not None and not 0 < config.stop < 1:
        raise InputError(
            f"stop must lie in (0, 1), got {config.stop:g}: it is a fraction of the fill price, "
            "0.03 for 3 %"
        )
    if config.take_profit is not None and not 0 < config.take_profit < np.inf:
        raise InputError(
            f"take_profit must be positive and finite, got {config.take_profit:g}: it is a "
            "fraction of the fill price, 0.06 for 6 %"
        )
    if config.max_holding is not None and config.max_holding < 1:
        raise InputError(f"max_holding must be at least 1 bar or None, got {config.max_holding}")
    if config.trail not in get_args(Trail):
        raise InputError(f"trail must be one of {get_args(Trail)}, got {config.trail!r}")
    if config.break_even is not None and not 0 < config.break_even < np.inf:
        raise InputError(
            f"break_even must be positive and finite, got {config.break_even}; 1 moves the stop "
            "once the gain is one stop distance"
        )
    if config.leave_at is not None:
        read_leave_at(config.leave_at)


def _check_limit(config: SimulationConfig) -> None:
    offset, bars = config.limit_offset, config.limit_bars
    if offset is not None and not 0 <= offset < 1:
        raise InputError(
            f"limit_offset must lie in [0, 1), got {offset}; 0.002 is 0.2 % from the close"
        )
    if isinstance(bars, bool) or not isinstance(bars, int | np.integer) or bars < 1:
        raise InputError(f"limit_bars must be a whole number of at least 1 bar, got {bars!r}")
    if bars != 1 and offset is None:
        raise InputError(
            f"limit_bars = {bars} needs limit_offset: at the open no order rests; set both"
        )


_SLACK = 1e-9
"""Shares of 0.3, 0.3 and 0.4 are summed in floating point."""


def _checked_ladder(ladder: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    """The steps as pairs. Raises `ValueError` for what is no ladder."""
    if not isinstance(ladder, list | tuple) or not all(
        isinstance(step, list | tuple) and len(step) == 2 for step in ladder
    ):
        raise InputError(
            f"take_profit_ladder must be pairs of multiple and share, got {ladder!r}; write "
            "[[0.5, 0.5], [1.0, 0.5]]"
        )
    steps = tuple((multiple, share) for multiple, share in ladder)
    for name, values in zip(("multiple", "share"), zip(*steps, strict=True), strict=False):
        for value in values:
            check_number(f"take_profit_ladder: a {name}", value)
            if not 0 < value < np.inf:
                raise InputError(
                    f"take_profit_ladder: a {name} must be positive and finite, got {value}"
                )
    multiples = [multiple for multiple, _ in steps]
    if any(after <= before for before, after in itertools.pairwise(multiples)):
        raise InputError(
            f"take_profit_ladder: multiples must ascend, got {multiples}; sort the steps"
        )
    total = sum(share for _, share in steps)
    if total > 1 + _SLACK:
        raise InputError(
            f"take_profit_ladder: shares sum to {total:g}, more than was entered; lower them to 1"
        )
    return steps


TRADING_DEFAULTS = SimulationConfig()


def kernel_inputs(
    bars: Bars, rules: Rules, brackets: Brackets, config: SimulationConfig
) -> tuple[kernel.Market, kernel.Columns]:
    """Everything that the kernel reads, transposed; an inverse contract is quoted one over.

    An inverse contract earns its settlement currency as a short of the quote currency does, so
    there longs and shorts change places, and funding its sign.
    """
    symbol = pd.Index(bars.symbols).get_indexer(rules.symbols).astype(np.int64)
    codes, sizes = rules.packed()
    prices = np.stack([bars.open.T, bars.high.T, bars.low.T, bars.close.T], axis=1)
    distances = np.stack(
        [
            brackets.stop_long.T,
            brackets.stop_short.T,
            brackets.take_profit_long.T,
            brackets.take_profit_short.T,
        ],
        axis=1,
    )
    funding = np.zeros((len(bars.symbols), 0))
    if bars.funding is not None:
        funding = np.ascontiguousarray(np.nan_to_num(bars.funding.T))
    num = len(bars.symbols)
    detail, starts = np.zeros((num, 4, 0)), np.zeros((num, 0), dtype=np.int64)
    if bars.detail is not None:
        detail, starts = bars.detail.prices, bars.detail.starts
    inverse = are_inverse(bars, config.instruments)
    if inverse.any():
        prices[inverse] = 1.0 / prices[inverse][:, [0, 2, 1, 3]]
        detail = np.where(inverse[:, None, None], 1.0 / detail[:, [0, 2, 1, 3]], detail)
        distances[inverse] = distances[inverse][:, [1, 0, 3, 2]]
        funding[inverse] *= -1.0
        codes = np.where(inverse[symbol, None], exchanged(codes), codes)
    market = kernel.Market(
        prices=np.ascontiguousarray(prices),
        brackets=np.ascontiguousarray(distances),
        funding=funding,
        clock=np.zeros(bars.close.T.shape, dtype=np.int64)
        if brackets.max_holding is None
        else np.ascontiguousarray(bar_clock(bars).T),
        previous=np.ascontiguousarray(bars.previous.T),
        day_end=day_ends(bars),
        delisted=delisting_rows(bars),
        detail=detail,
        starts=starts,
    )
    columns = kernel.Columns(
        codes=acting_codes(codes, symbol, market.previous, bar_bits(bars, config.leave_at)),
        sizes=sizes,
        symbol=symbol,
        accounts=account_columns(bars, rules),
    )
    return market, columns


def exchanged(codes: np.ndarray) -> np.ndarray:
    """Signals with long and short in each other's place."""
    return ((codes & 3) << 2) | ((codes >> 2) & 3)


def bar_bits(bars: Bars, leave_at: str | None) -> np.ndarray:
    """What each bar says of itself in `kernel.Columns.codes`: uint8 (N, T).

    ABSENT where the symbol has none. LEAVE where its open is too late to hold anything. UNTRADED
    where nobody traded: without volume and at one price, and its symbol had a volume before. A bar
    without volume whose price moved was traded, and its volume is not known.
    """
    had_volume = np.maximum.accumulate(np.nan_to_num(bars.volume) > 0, axis=0)
    untraded = (bars.volume == 0) & (bars.high == bars.low) & had_volume
    bits = np.where(untraded, UNTRADED, 0) + np.where(bars.present, 0, ABSENT)
    if leave_at is not None:
        bits += np.where(leave_rows(bars, leave_at), LEAVE, 0)
    return np.ascontiguousarray(bits.T.astype(np.uint8))


def acting_codes(
    said_CT: np.ndarray, symbol: np.ndarray, previous_NT: np.ndarray, bits_NT: np.ndarray
) -> np.ndarray:
    """`kernel.Columns.codes` of signals: what a row says acts at the symbol's own next bar."""
    acting = np.zeros_like(said_CT)
    in_turn = np.arange(-1, said_CT.shape[1] - 1)
    for n in np.unique(symbol):
        same = symbol == n
        own: slice | np.ndarray = slice(None) if same.all() else np.flatnonzero(same)
        if np.array_equal(previous_NT[n], in_turn):
            acting[own, 1:] = said_CT[own, :-1]
        else:
            rows = np.flatnonzero(previous_NT[n] >= 0)
            here = np.zeros_like(said_CT[own])
            here[:, rows] = said_CT[own][:, previous_NT[n, rows]]
            acting[own] = here
        if bits_NT[n].any():
            acting[own] = np.where(bits_NT[n] & ABSENT, 0, acting[own]) | bits_NT[n]
    return acting


def kernel_terms(config: SimulationConfig, brackets: Brackets, size_type: SizeType) -> kernel.Terms:
    """The scalars that all accounts share."""
    return kernel.Terms(
        sizing=get_args(SizeType).index(size_type),
        max_leverage=float(config.max_leverage),
        init_cash=float(config.init_cash),
        max_holding=brackets.max_holding or 0,
        max_open_risk=float(config.max_open_risk),
        trail=TRAILS[config.trail],
    )


def check_inputs(bars: Bars, rules: Rules, brackets: Brackets, size_type: SizeType) -> None:
    """Raise `ValueError` unless the four belong together."""
    if size_type not in get_args(SizeType):
        raise InputError(f"size_type must be one of {get_args(SizeType)}, got {size_type!r}")
    if not rules.index.equals(bars.index):
        raise InputError(
            f"signals cover {len(rules.index):,} bars from {rules.index[0]}, the bars are "
            f"{len(bars):,} from {bars.index[0]}; give both the same index"
        )
    strangers = rules.symbols.difference(pd.Index(bars.symbols))
    if len(strangers):
        raise InputError(f"signals of {list(strangers)}, but the bars hold {list(bars.symbols)}")
    if brackets.stop_long.shape != bars.close.shape:
        raise InputError(
            f"brackets have shape {brackets.stop_long.shape}, the bars {bars.close.shape}"
        )


def check_stops(
    bars: Bars,
    brackets: Brackets,
    market: kernel.Market,
    columns: kernel.Columns,
    terms: kernel.Terms,
) -> None:
    """Raise `ValueError` when sizing by risk meets an entry without a stop.

    Where a price never moved (`Brackets.still`) such an entry is just not made.
    """
    if terms.sizing != kernel.BY_RISK:
        return
    found = np.zeros(len(bars), dtype=np.int64)
    for side, bit in enumerate((ENTER_LONG, ENTER_SHORT)):
        for n, stops in enumerate(market.brackets[:, side]):
            bare = np.isnan(stops)
            if brackets.still is not None:
                bare &= ~brackets.still[:, n]
            before = market.previous[n]
            rows = np.flatnonzero((before >= 0) & bare[before])  # where an entry would be made
            own = np.flatnonzero(columns.symbol == n)
            enters = columns.codes[np.ix_(own, rows)] & bit != 0
            enters &= columns.sizes[np.ix_(own, before[rows])] > 0
            found[before[rows]] += enters.sum(axis=0)
    if found.any():
        row = int((found > 0).argmax())
        raise InputError(
            f"{found.sum()} entries have no stop (first at {bars.index[row]}), and sizing by risk "
            "divides by the loss at the stop; give stop=0.03 or the like, or use "
            "size_type='notional', or enter nothing (NaN) before the volatility is known"
        )


def delisting_rows(bars: Bars) -> np.ndarray:
    """The row at whose open each symbol is known to be delisted, int64 (N,); T where it never is.

    A symbol without a later bar is known to be gone once a bar is due that would end a break longer
    than any it ever had, and where its market closes longer than a holiday: a stock's weekend
    beside a coin, or an hour without a trade of a thin pair, is no delisting.
    """
    rows = np.full(len(bars.symbols), len(bars))
    times, present = bars.index.asi8, bars.present
    for n in np.flatnonzero(~present[-1]):
        own = times[present[:, n]]
        if not len(own):
            continue  # it was never there
        longest = max(bars.step.value, int(np.diff(own).max(initial=0)))
        if bars.closes[n]:
            longest = max(longest, LONGEST_HOLIDAY.value)
        rows[n] = times.searchsorted(own[-1] + longest)
    return rows


def account_columns(bars: Bars, rules: Rules) -> np.ndarray:
    """The columns of each account, int64 (A, K), then -1 where it has fewer.

    There is one account a rule, or one a column where there is a single symbol.
    """
    count = len(rules.columns)
    if len(bars.symbols) == 1:
        return np.arange(count)[:, None]
    if not rules.rule_levels:
        return np.arange(count)[None]
    codes: np.ndarray = rules.columns.droplevel("symbol").factorize()[0]
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    columns = np.full((len(sizes), int(sizes.max())), -1)
    columns[np.arange(columns.shape[1]) < sizes[:, None]] = order
    return columns


def day_ends(bars: Bars) -> np.ndarray:
    """Whether a row is the last one of its UTC day, bool (T,)."""
    days = bars.index.normalize().asi8
    return np.append(days[1:] != days[:-1], True)
