"""Entries by a limit order that rests: what is told is what the account does."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.errors import ConfigError, FewTradesWarning
from convnext_vbt.live.account import Account
from convnext_vbt.live.decision import decide
from convnext_vbt.live.journal import open_journal
from convnext_vbt.live.resting import placed_at
from convnext_vbt.live.running import live_session
from convnext_vbt.live.session import open_session
from convnext_vbt.live.text import close_lines, lines, to_dict
from convnext_vbt.live.trained import open_trained
from convnext_vbt.runs import run as pipeline
from tests.live.test_fills import fill, fills_of
from tests.live.test_running import rehearsed

OFFSET, BARS, COUNT = 0.002, 3, 120
SYMBOL, HOUR = "SIM/USDT", pd.Timedelta(hours=1)


@pytest.fixture(scope="module")
def limited(finished):
    """The same networks, entering by a limit order that rests for three bars."""
    trading = replace(finished.config.trading, limit_offset=OFFSET, limit_bars=BARS)
    config = finished.config.model_copy(update={"trading": trading, "name": "limited"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        return pipeline.run(config, out=finished.directory.parent, jobs=1)  # its splits are there


@pytest.fixture(scope="module")
def closes(limited, tmp_path_factory):
    return rehearsed(limited, tmp_path_factory.mktemp("limited") / "a.sqlite", COUNT)


def only(close):
    return close.decisions.decisions[0]


def test_what_is_told_of_a_limit_is_what_becomes_of_it(limited, closes, bars):
    """Every order is followed here by the prices alone, beside the kernel that booked it."""
    fates, order = [], None
    for close in closes:
        one, row = only(close), bars.index.get_loc(close.bar)
        if order is not None:
            side, price, said, units = order
            first, worst = bars.open[row, 0], (bars.low if side > 0 else bars.high)[row, 0]
            through = side * worst < side * price
            if through:
                word = "Buy" if side > 0 else "Sell"
                filled = next(o for o in reversed(close.state.orders) if o.side == word)
                assert filled.units == pytest.approx(units, rel=2e-3)
                best = first if side * first < side * price else price
                assert filled.price == pytest.approx(best, rel=3e-4)
                assert any("limit at" in why and "filled in this bar" in why for why in one.reasons)
                fates.append("filled")
            elif row - said == BARS:
                assert any("ended unfilled: cancel it" in why for why in one.reasons)
                assert SYMBOL in close.state.expired
                fates.append("expired")
            elif one.cancels is not None:
                assert one.cancels.price == price
                fates.append("cancelled")
            else:
                assert (one.action, one.step) == ("WAIT", f"rest {'long' if side > 0 else 'short'}")
                assert (one.resting.price, one.resting.left) == (price, BARS - (row - said))
                assert one.would_take.units == pytest.approx(
                    units, rel=2e-3
                )  # what a reversal closed
                assert (one.entry, one.units, one.target) == (None, 0.0, 0.0)
                fates.append("rests")
                continue
            order = None
        if one.entry is not None:
            close_price = bars.close[row, 0]
            assert one.entry.price == pytest.approx(close_price * (1 - one.entry.side * OFFSET))
            assert one.entry.limit_bars == BARS
            order = (one.entry.side, one.entry.price, row, one.entry.units)
        else:
            assert (one.resting, close.working) == (None, {})
    assert all(fates.count(name) > 2 for name in ("filled", "expired", "rests"))
    assert "cancelled" in fates


def test_signal_knows_what_rests_by_the_bar_that_placed_it(limited, closes, bars):
    trained, seen = open_trained(limited.directory), set()
    for close in closes:
        row = bars.index.get_loc(close.bar)
        part = bars.rows(0, row + 1)
        for name, order in close.state.resting.items():
            fate, same, at = placed_at(trained, part, 0, order.said, trained.config.trading)
            assert (fate, same.side, same.left, at) == ("rests", order.side, order.left, close.bar)
            assert same.price == pytest.approx(order.price, rel=1e-12)
            plain = decide(trained, part, Account(equity=1e4)).decisions[0]
            again = decide(trained, part, Account(equity=1e4, resting={name: same})).decisions[0]
            assert again.entry is None or again.cancels is not None
            seen.add((again.step, plain.step))
        for order in close.state.expired.values():
            fate, _, at = placed_at(trained, part, 0, order.said, trained.config.trading)
            assert (fate, at) == ("expired", close.bar)
            seen.add("expired")
    assert "expired" in seen
    assert ("rest long", "enter long") in seen  # what a decision without memory would tell again


def told(limited, closes, step):
    """The last close at which a step is told, as `signal` looks at it."""
    bar = next(close.bar for close in reversed(closes) if only(close).step == step)
    return bar, bar + HOUR


def test_the_words_of_signal_are_those_of_a_limit(limited, closes):
    bar, now = told(limited, closes, "rest long")
    order = next(close for close in closes if close.bar == bar).state.resting[SYMBOL]
    placed = f"{order.said:%Y-%m-%dT%H:%M}"
    found, _ = open_session(limited.directory, placed=[placed]).look(now)
    text = "\n".join(lines(found, []))
    until = f"{bar + (order.left + 1) * HOUR:%Y-%m-%d %H:%M} UTC"
    more = f"rests for {order.left} bar{'s' * (order.left > 1)} more, until {until}; nothing else"
    assert f"WAIT: the BUY limit at {order.price:,.8g} {more}" in text
    assert "rests already: do not place it again" in text
    assert "  size          " in text
    assert to_dict(found)["decisions"][0]["resting"]["left"] == order.left
    entered = next(
        close for close in closes
        if any("limit at" in why and "filled in this bar" in why for why in only(close).reasons)
    )  # fmt: skip
    said = next(c.working[SYMBOL].said for c in closes if c.bar == entered.bar - HOUR)
    session = open_session(limited.directory, placed=[f"{said:%Y-%m-%dT%H:%M}"])
    with pytest.raises(
        ConfigError, match=r"traded through the (BUY|SELL) limit at .*, which fills"
    ):
        session.look(entered.bar + HOUR)


@pytest.mark.parametrize(
    ("placed", "message"),
    [
        ("2022-02-19T09:30", "has no bar that opens then; give the open time"),
        ("2022-03-19T09:00", "has no bar that opens then"),
    ],
)
def test_a_placed_order_that_cannot_be_is_refused(limited, closes, finished, placed, message):
    with pytest.raises(ConfigError, match=message):
        open_session(limited.directory, placed=[placed]).look(closes[-1].bar + HOUR)
    with pytest.raises(ConfigError, match="this strategy enters at the open"):
        open_session(finished.directory, placed=[placed]).look(closes[-1].bar + HOUR)
    with pytest.raises(ConfigError, match="it is held, so its entry was filled"):
        open_session(limited.directory, placed=[placed], positions=["1"])
    idle = next(c.bar for c in closes if only(c).step == "stay out")
    with pytest.raises(ConfigError, match="no entry into SIM/USDT was signalled there"):
        open_session(limited.directory, placed=[f"{idle}"]).look(closes[-1].bar + HOUR)


def test_a_close_is_printed_with_what_rests_and_what_ended(closes):
    texts = {close.bar: "\n".join(close_lines(close, [])) for close in closes}
    for close in closes:
        for order in close.state.resting.values():
            goes_on = only(close).cancels is None
            assert (f"{order.name} rests, {order.left} bar" in texts[close.bar]) == goes_on
            assert (f"{order.name} rested until now" in texts[close.bar]) != goes_on
        for order in close.state.expired.values():
            assert f"{order.name} expired unfilled: {SYMBOL}" in texts[close.bar]
    whole = "\n".join(texts.values())
    for part in (
        "CANCEL the BUY limit at",
        "was filled in this bar",
        "limit at",
        "enter short, rests",
    ):
        assert part in whole
    turned = [c for c in closes if only(c).step.startswith("reverse")]
    assert turned  # two orders: one at the open, one that rests
    for close in turned:
        one = only(close)
        assert (one.target, one.units) == (0.0, abs(close.state.held[SYMBOL].units))
        word, way = ("SELL", "BUY") if one.entry.side > 0 else ("BUY", "SELL")
        text = texts[close.bar]
        assert f"{way} {one.units:.8g}: exit " in text
        assert f"then {way} {one.entry.units:.8g} limit at {one.entry.price:,.8g}: enter" in text
        assert f"{word} {one.units:.8g}: exit" not in text


def test_what_works_is_remembered_over_a_restart(limited, closes, tmp_path):
    path = tmp_path / "a.sqlite"
    seen = []
    while len(seen) < 16:
        session = live_session(limited.directory, journal=path, rehearse=COUNT)
        seen += [next(session)[0]]
        session.close()
    for ours, theirs in zip(seen, closes, strict=False):
        one, same = (to_dict(replace(c.decisions, difference=None)) for c in (ours, theirs))
        assert json.dumps(one) == json.dumps(same)
        assert ours.working.keys() == theirs.working.keys()
    with open_journal(path) as journal:
        assert journal.working().keys() == seen[-1].working.keys()


def test_on_real_fills_an_order_that_was_told_is_followed_by_the_bars(limited, bars, tmp_path):
    """One fill, long over, makes the account real; no order of it is ever filled."""
    first = len(bars) - COUNT
    price = float(bars.open[first + 1, 0])
    path = fills_of(tmp_path, [
        fill(bars, first + 1, "buy", 0.01, price), fill(bars, first + 1, "sell", 0.01, price, 9),
    ])  # fmt: skip
    closes = rehearsed(limited, tmp_path / "a.sqlite", COUNT, fills=path)
    told, seen = None, []
    for close in closes[2:]:
        one = only(close)
        if told is not None:
            row, (side, level, said) = bars.index.get_loc(close.bar), told
            through = side * (bars.low if side > 0 else bars.high)[row, 0] < side * level
            if through:
                assert any("no fill of it was told of" in why for why in one.reasons)
            elif row - said == BARS:
                assert any("ended unfilled" in why for why in one.reasons)
            elif one.cancels is None:
                assert (one.resting.price, one.resting.left) == (level, BARS - (row - said))
                seen.append("rests")
                continue
            seen.append("filled" if through else "over")
        entry = one.entry
        told = None if entry is None else (entry.side, entry.price, bars.index.get_loc(close.bar))
    assert {"rests", "filled", "over"} == set(seen)
    assert np.isfinite(closes[-1].state.equity)
