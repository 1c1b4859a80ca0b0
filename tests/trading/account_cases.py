"""Small accounts for Hypothesis: a market, signals, and every feature of an account on or off.

What shrinks is the number of bars and symbols and what is on; prices come from a seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from convnext_vbt.market.bars import Bars
from convnext_vbt.market.gaps import bar_clock

from .plain_account import plain_account
from .plain_market import (
    ENTER_LONG,
    ENTER_SHORT,
    EXIT_LONG,
    EXIT_SHORT,
    Contract,
    Outcome,
    Prices,
    Terms,
)

DISTANCES = ("stop_long", "stop_short", "take_profit_long", "take_profit_short")
SAID = (
    ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT, ENTER_LONG | EXIT_SHORT,
    ENTER_SHORT | EXIT_LONG, EXIT_LONG | EXIT_SHORT,
)  # fmt: skip
"""Rows without a conflict."""
DETAILS = 4
"""Detail bars of a bar."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One account and all that it is told, by symbol; lists run over rows."""

    bars: dict[str, pd.DataFrame]
    """Columns open, high, low, close, volume, funding; NaN without a bar."""
    codes: dict[str, list[int]]
    sizes: dict[str, list[float]]
    brackets: dict[str, dict[str, list[float]]]
    instruments: dict[str, Contract]
    terms: Terms
    sigma: dict[str, list[float]]
    leave: dict[str, list[bool]]
    slots: dict[str, list[int]]
    """Bars so far, those that are missing in a gap among them."""
    detail: dict[str, list[list[Prices] | None]] | None

    @property
    def is_shared(self) -> bool:
        return len(self.bars) > 1

    def account(self) -> Outcome:
        """What the plain account makes of it."""
        return plain_account(
            self.bars, self.codes, self.sizes, self.brackets, self.instruments, self.terms,
            sigma=self.sigma, leave=self.leave, slots=self.slots, detail=self.detail,
        )  # fmt: skip

    def to_bars(self) -> Bars:
        """The market as `Bars`, funding in it."""
        index = next(iter(self.bars.values())).index
        fields = {
            name: np.column_stack([frame[name].to_numpy() for frame in self.bars.values()])
            for name in ("open", "high", "low", "close", "volume", "funding")
        }
        return Bars(index=index, symbols=tuple(self.bars), step=pd.Timedelta(hours=1), **fields)

    def priced(self, change: Any) -> Case:
        """With other frames of bars."""
        return replace(self, bars={name: change(frame) for name, frame in self.bars.items()})


MARKETS = st.fixed_dictionaries(
    {
        "num_bars": st.integers(10, 60),
        "seed": st.integers(0, 2**32 - 1),
        "volatility": st.sampled_from([0.004, 0.02, 0.06]),
        "gaps": st.sampled_from([0.0, 0.01, 0.05]),
        "wild": st.sampled_from([0.0, 0.05]),
        "missing": st.sampled_from([0.0, 0.1]),
        "untraded": st.sampled_from([0.0, 0.1]),
        "has_funding": st.booleans(),
        "density": st.sampled_from([0.1, 0.3, 0.6]),
        "stops": st.sampled_from([0.02, 0.05, 0.2, None]),
        "profits": st.sampled_from([None, 0.01, 0.04]),
        "crash": st.just(1.0),
        "leave_every": st.sampled_from([None, 9]),
        "with_detail": st.booleans(),
        "has_volume": st.sampled_from([True, True, True, False]),
    }
)

CONTRACTS = st.fixed_dictionaries(
    {},
    optional={
        "tick": st.sampled_from([0.01, 0.1]),
        "lot": st.sampled_from([0.001, 0.3, 2.0]),
        "min_notional": st.sampled_from([5.0, 300.0]),
        "multiplier": st.sampled_from([0.1, 5.0]),
        "taker": st.sampled_from([0.0, 0.002]),
        "maker": st.sampled_from([0.0, 0.0005, -0.0001]),
        "fee_per_contract": st.sampled_from([0.01, 0.2]),
        "min_fee": st.sampled_from([0.5, 5.0]),
        "slippage": st.sampled_from([0.0, 0.003]),
        "half_spread": st.sampled_from([0.02, 0.2]),
        "volatility_slippage": st.sampled_from([0.1]),
        "impact": st.sampled_from([0.2, 1.0]),
        "max_volume_share": st.sampled_from([0.01, 0.2]),
        "borrow": st.sampled_from([0.05, 9.0]),
        "interest": st.sampled_from([0.05, 9.0]),
        "initial_margin": st.sampled_from([0.1, 0.5]),
        "maintenance_margin": st.sampled_from([0.03, 0.09]),
    },
)

TERMS = st.fixed_dictionaries(
    {"sizing": st.sampled_from(["risk", "notional", "value"])},
    optional={
        "risk": st.sampled_from([0.005, 0.05, 0.5, 1.0]),
        "fees": st.sampled_from([0.001, 0.01]),
        "slippage": st.sampled_from([0.0005, 0.005]),
        "max_leverage": st.sampled_from([0.5, 3.0, 10.0]),
        "max_open_risk": st.sampled_from([0.01, 0.2]),
        "max_holding": st.sampled_from([1, 4]),
        "limit_offset": st.sampled_from([0.0, 0.005, 0.02]),
        "limit_bars": st.sampled_from([2, 5]),
        "trail": st.sampled_from(["close", "extreme"]),
        "break_even": st.sampled_from([0.3, 1.0]),
        "ladder": st.sampled_from(
            [((1.0, 0.5), (2.0, 0.5)), ((0.5, 0.3), (1.0, 0.3)), ((0.5, 0.01), (1.0, 0.99))]
        ),
        "order": st.just("best"),
    },
)


@st.composite
def cases(draw: st.DrawFn, *, most_symbols: int = 3) -> Case:
    """Accounts of one symbol up to `most_symbols`."""
    num_symbols = draw(st.integers(1, most_symbols))
    names = [chr(ord("A") + n) for n in range(num_symbols)]
    market, terms = draw(MARKETS), Terms(**draw(TERMS))
    contracts = {name: Contract(**draw(CONTRACTS)) for name in names}
    if draw(st.booleans()):  # an account in the coin, in which 100 dollars are 1
        contracts = {
            name: replace(
                one, inverse=True, multiplier=1.0, min_fee=one.min_fee / 100,
                fee_per_contract=one.fee_per_contract / 100,
            )
            for name, one in contracts.items()
        }  # fmt: skip
        terms = replace(terms, init_cash=100.0)
    if not market["has_volume"]:  # which is refused where it is needed
        contracts = {
            name: replace(one, impact=0.0, max_volume_share=None) for name, one in contracts.items()
        }
    if draw(st.booleans()):  # so much is borrowed that accounts are liquidated, or worse
        stops, risk = draw(st.sampled_from([(0.05, 0.3), (0.4, 0.6)]))
        terms = replace(terms, sizing="risk", risk=risk, max_leverage=10.0, max_open_risk=0.9)
        margin = draw(st.sampled_from([0.0, 0.09, 0.3]))
        contracts = {
            name: replace(
                one, initial_margin=None, maintenance_margin=margin, max_volume_share=None,
                impact=0.0,
            )
            for name, one in contracts.items()
        }  # fmt: skip
        gaps = draw(st.sampled_from([0.01, 0.1]))
        market = market | {
            "volatility": 0.06, "wild": 0.3, "gaps": gaps, "stops": stops,
            "crash": draw(st.sampled_from([0.5, 1.0, 2.0])),
        }  # fmt: skip
    elif terms.sizing == "risk":  # what is left after a few stops is more than rounding
        terms = replace(terms, risk=min(terms.risk, 0.3))
    return case_of(market, contracts, terms)


def case_of(market: dict[str, Any], contracts: dict[str, Contract], terms: Terms) -> Case:
    """The case of one draw."""
    rng, num = np.random.default_rng(market["seed"]), market["num_bars"]
    if terms.sizing == "risk" and market["stops"] is None:
        market = market | {"stops": 0.05}
    made = {name: symbol_of(rng, market) for name in contracts}
    index = pd.date_range("2024-01-01", periods=num, freq="h", tz="UTC")
    has_detail = market["with_detail"] and len(contracts) == 1
    every = market["leave_every"]
    case = Case(
        bars={name: one[0].set_axis(index) for name, one in made.items()},
        codes={
            name: np.where(rng.random(num) < market["density"], rng.choice(SAID, num), 0).tolist()
            for name in made
        },
        sizes={name: rng.choice([1.0, 0.5, 0.2, 0.0], num, p=[0.5, 0.3, 0.15, 0.05]).tolist()
               for name in made},
        brackets={name: brackets_of(rng, market) for name in made},
        instruments=contracts,
        terms=terms,
        sigma={
            name: np.where(rng.random(num) < 0.05, np.nan, rng.uniform(0.002, 0.03, num)).tolist()
            for name in made
        },
        leave={name: [every is not None and i % every == every - 1 for i in range(num)]
               for name in made},
        slots={},
        detail={name: one[1] for name, one in made.items()} if has_detail else None,
    )  # fmt: skip
    return replace(case, slots=bar_slots(case.to_bars()))


def bar_slots(bars: Bars) -> dict[str, list[int]]:
    """How many bars there should have been by each row; a closed market has none."""
    return dict(zip(bars.symbols, bar_clock(bars).T.tolist(), strict=True))


def brackets_of(rng: np.random.Generator, market: dict[str, Any]) -> dict[str, list[float]]:
    """Distances of each row; none for the whole market, or of a take-profit here and there."""
    found = {}
    for name in DISTANCES:
        base = market["stops"] if "stop" in name else market["profits"]
        values = rng.uniform(0.3, 1.0, market["num_bars"]) * (math.nan if base is None else base)
        if "take" in name:
            values[rng.random(len(values)) < 0.1] = np.nan
        found[name] = values.tolist()
    return found


def symbol_of(
    rng: np.random.Generator, market: dict[str, Any]
) -> tuple[pd.DataFrame, list[list[Prices] | None]]:
    """Bars with gaps between them and inside, and the detail bars that they are made of."""
    rows, details, last = [], [], 100.0
    num, scale = market["num_bars"], market["volatility"]
    has_volume = market["has_volume"]
    crash = int(rng.integers(1, num))
    for i in range(num):
        last *= market["crash"] if i == crash else 1.0
        is_edge = i in (0, num - 1)  # nothing is delisted
        if rng.random() < market["missing"] and not is_edge:
            rows.append((math.nan,) * 6)
            details.append(None)
            continue
        volume = float(rng.lognormal(6, 1)) + 20 if has_volume else math.nan
        funding = float(rng.choice([0.0, 0.001, -0.001])) if market["has_funding"] else 0.0
        if has_volume and rng.random() < market["untraded"]:
            last *= math.exp(rng.normal() * scale)
            rows.append((last, last, last, last, 0.0, funding))
            details.append(None)
            continue
        if has_volume and rng.random() < 0.05:
            volume = 0.0  # and yet it moves
        inside = []
        for k in range(DETAILS):
            first = last * math.exp(rng.normal() * market["gaps"] / (1 if k == 0 else 3))
            close = first * math.exp(rng.normal() * scale / 2)
            top, bottom = max(first, close), min(first, close)
            if rng.random() < 0.15:
                top *= math.exp(abs(rng.normal()) * (scale + market["wild"]))
            if rng.random() < 0.15:
                bottom *= math.exp(-abs(rng.normal()) * (scale + market["wild"]))
            inside.append((first, top, bottom, close))
            last = close
        high, low = max(bar[1] for bar in inside), min(bar[2] for bar in inside)
        rows.append((inside[0][0], high, low, last, volume, funding))
        details.append(inside if rng.random() < 0.8 else None)
    columns = ["open", "high", "low", "close", "volume", "funding"]
    return pd.DataFrame(rows, columns=columns, dtype=float), details
