"""What only many cuts, another calendar or another market's bars can tell of features and rules."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.evidence.audit import alone
from convnext_vbt.evidence.audit.alone import cut_features, cut_rule, cuts_alone, outside_columns
from convnext_vbt.evidence.audit.garbage import another_future, garbage_after
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.trading.signals import Signals
from tests.evidence.markets import make_bars

from .test_audit import HONEST, assert_blamed, examine


@dataclass(frozen=True)
class Columns:
    names: tuple[str, ...]
    values: np.ndarray
    warmup: int = 0


@pytest.fixture(scope="module")
def bars():
    return make_bars(bars=1_300, seed=4)


@pytest.fixture(autouse=True)
def few_cuts(request, monkeypatch):
    """A tenth of the regular cuts, but for the test that counts on all of them."""
    if "phase" not in request.fixturenames:
        monkeypatch.setattr(alone, "NUM_CUTS", 50)


def made_of(column):
    """A feature that is honest beside one that is made of bars as a frame (T, N)."""

    def make(bars):
        honest = np.log(bars.high / bars.low)
        other = np.broadcast_to(np.asarray(column(bars), dtype=np.float64), honest.shape)
        return Columns(names=("reach", "x"), values=np.stack([honest, other], axis=2))

    return make


def found(bars, column):
    make = made_of(column)
    checks = list(cut_features(bars, make(bars), make, seed=0))
    assert len(checks) >= alone.NUM_CUTS
    return [(cut, difference) for cut, difference in checks if difference is not None]


def ahead(bars):
    close = bars.close
    return np.vstack([close[1:] / close[:-1] - 1.0, np.zeros((1, close.shape[1]))])


LEAKS = {
    "bars that are left": lambda bars: np.arange(len(bars), 0, -1)[:, None],
    "hours to the next bar": lambda bars: np.append(np.diff(bars.index.asi8), 0)[:, None],
    "the last price": lambda bars: bars.close[-1:],
    "whether it is delisted": lambda bars: bars.present[-1:],
}


SLOW_LEAKS = ("bars that are left", "the last price")  # as the other two, by a bar and by a symbol
SLOW_HONEST = ("a recursive mean", "days to the month's end")


def but_slow(names, slow):
    """These names, the slow ones marked as such."""
    return [pytest.param(each, marks=pytest.mark.slow if each in slow else ()) for each in names]


@pytest.mark.parametrize("leak", but_slow(LEAKS, SLOW_LEAKS))
def test_the_calendar_of_the_future_is_garbage_too(leak):
    holes = make_bars(symbols=2, bars=1_500, seed=5)
    gone = {name: getattr(holes, name).copy() for name in FIELDS}
    for values in gone.values():
        values[1_200:, 1] = np.nan
    blamed = found(replace(holes, **gone), LEAKS[leak])
    assert len(blamed) > 20
    assert all(difference.bar <= cut.bar for cut, difference in blamed)
    assert " of " in blamed[0][1].text


@pytest.mark.parametrize(
    "phase", [37, *(pytest.param(each, marks=pytest.mark.slow) for each in (0, 1, 250, 499))]
)
def test_a_look_ahead_at_one_bar_in_500_is_caught_at_every_phase(bars, phase):
    def rare(view):
        # the block begins at the first bar here, so places are those of the whole
        return np.where((np.arange(len(view)) % 500 == phase)[:, None], ahead(view), 0.0)

    blamed = found(bars, rare)
    assert blamed
    assert {difference.bar % 500 for _, difference in blamed} == {phase}


def test_a_look_ahead_at_unusual_bars_alone_is_caught(bars):
    loudest = np.argsort(-bars.volume[:, 0])[:2]

    def loud(view):
        at = np.isin(view.index, bars.index[loudest])
        return np.where(at[:, None], ahead(view), 0.0)

    assert {difference.bar for _, difference in found(bars, loud)} <= set(loudest.tolist())
    assert found(bars, loud)


def test_features_that_fail_on_another_future_depend_on_it(bars):
    def cached(view):
        return np.zeros((len(bars), 1)) + view.close  # of as many bars as there were

    (cut, difference), *_ = found(bars, cached)
    assert difference.text.startswith("the features fail: operands could not be broadcast")
    assert difference.bar == cut.bar


def fft_mean(bars):
    kernel = np.ones(24) / 24
    size = 2 * len(bars)
    turned = np.fft.rfft(bars.close[:, 0], size) * np.fft.rfft(kernel, size)
    return np.fft.irfft(turned, size)[: len(bars), None] / bars.close


HONEST_COLUMNS = {
    "a mean by Fourier": fft_mean,
    "an expanding mean": lambda bars: bars.frame("close").expanding().mean(),
    "a recursive mean": lambda bars: bars.frame("close").ewm(span=300).mean(),
    "days to the month's end": lambda bars: (bars.index.days_in_month - bars.index.day).to_numpy()[
        :, None
    ],
    "hour": lambda bars: bars.index.hour.to_numpy()[:, None],
    "a constant": lambda bars: 1.0,
}


@pytest.mark.parametrize("name", but_slow(HONEST_COLUMNS, SLOW_HONEST))
def test_what_is_honest_is_not_blamed(bars, name, monkeypatch):
    monkeypatch.setattr(alone, "BLOCK", 600)  # several blocks
    column = HONEST_COLUMNS[name]
    assert not found(bars, column)
    make = made_of(column)
    clock, foreign = outside_columns(bars, make(bars), make)
    assert foreign is None
    from_clock = name in ("days to the month's end", "hour", "a constant")
    assert clock == (("x",) if from_clock else ())


def test_features_that_cannot_do_with_an_outage_are_looked_at_without(bars):
    def daily(view):
        if (np.diff(view.index.asi8) > view.step.value).any():
            raise ValueError("there is a gap")
        return ahead(view) * 0.0 + view.close

    assert not found(bars, daily)
    assert found(bars, lambda view: daily(view) + ahead(view))


def test_features_that_fail_on_a_part_of_the_bars_are_told(bars):
    def features(view):
        if len(view) < len(bars) - 700:
            raise ValueError("too few bars")
        return HONEST.features(view)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alone, "BLOCK", 400)
        report = examine(bars, features=features)
    assert report.bars_alone == 0
    assert report.lines()[-1].endswith("features fail on a part of the bars, so rare leaks were "
                                       "not looked for")  # fmt: skip


def test_a_panel_that_cannot_do_with_missing_bars_is_looked_at_without():
    panel = make_bars(symbols=2, bars=900, seed=6)

    def whole(view):
        ended = ~view.present[::-1].cumsum(axis=0).astype(bool)[::-1]
        if (~view.present & ~ended).any():
            raise ValueError("a bar is missing")
        return np.where(ended, np.nan, 0.0)

    assert not found(panel, whole)


def test_a_symbol_that_begins_late_is_no_leak(monkeypatch):
    monkeypatch.setattr(alone, "BLOCK", 400)
    panel = make_bars(symbols=2, bars=1_200, seed=7)
    late = {name: getattr(panel, name).copy() for name in FIELDS}
    for values in late.values():
        values[:700, 1] = np.nan
    panel = replace(panel, **late)
    assert not found(panel, lambda view: view.close / view.open)
    assert found(panel, lambda view: view.present.any(axis=0))


def test_a_table_that_was_brought_along_is_named(bars):
    table = pd.Series(np.random.default_rng(0).normal(size=len(bars)), index=bars.index)

    def joined(view):
        return table.reindex(view.index).fillna(0.0).to_numpy()[:, None]

    assert not found(bars, joined)  # no cut can tell
    make = made_of(joined)
    clock, foreign = outside_columns(bars, make(bars), make)
    assert clock == ()
    assert foreign.text.startswith("x is the same whatever the bars are")


@pytest.mark.parametrize("mixed", ["ratio", "sum"])
def test_a_table_that_is_mixed_with_the_bars_is_named(bars, mixed):
    daily = bars.frame("close").resample("D").last()  # each day knows its own last price

    def joined(view):
        own = daily.reindex(view.index, method="ffill").to_numpy()
        return np.log(view.close / own) if mixed == "ratio" else own + view.close

    assert not found(bars, joined)  # no cut can tell
    make = made_of(joined)
    clock, foreign = outside_columns(bars, make(bars), make)
    assert clock == ()
    assert foreign.text.startswith("x is another one for the same bars 28 years later")


def next_moves(bars, hours=24):
    opens = np.log(bars.open[:, 0])
    move = np.zeros(len(bars))
    move[: -hours - 1] = opens[hours + 1 :] - opens[1:-hours]
    return move


def by_position(table):
    return lambda view: np.resize(table, len(view))[:, None]


def by_position_and_bars(table):
    return lambda view: by_position(table)(view) + 0.02 * np.log(view.close / view.open)


def by_date(table):
    def look_up(view):
        key = view.index.month * 10_000 + view.index.day * 100 + view.index.hour
        return key.map(table).to_numpy(dtype=float)[:, None]

    return look_up


@pytest.mark.parametrize(
    "how", but_slow(["position", "position and bars", "date"], ["position and bars", "date"])
)
@pytest.mark.parametrize("honest", [True, False])
def test_a_table_of_what_came_foretells_whatever_the_bars(how, honest):
    bars = make_bars(bars=4_000, seed=4)
    moves = next_moves(bars)
    if honest:  # as many numbers that know nothing
        moves = np.random.default_rng(1).permutation(moves)
    key = bars.index.month * 10_000 + bars.index.day * 100 + bars.index.hour
    made = {
        "position": by_position(moves),
        "position and bars": by_position_and_bars(moves),
        "date": by_date(dict(zip(key, moves, strict=True))),
    }[how]
    make = made_of(made)
    _, foreign = outside_columns(bars, make(bars), make)
    if honest:
        assert foreign is None
    else:
        assert foreign.text.startswith("x, made of another market's bars, foretells these")


def test_no_honest_column_foretells_another_market():
    worst = []
    for seed in range(12):
        bars = make_bars(bars=3_000, seed=seed)
        make = made_of(lambda view: np.log(view.close))  # a level that wanders
        assert outside_columns(bars, make(bars), make)[1] is None
        other = make(garbage_after(bars, 0)).values.reshape(len(bars), -1)
        worst.append(alone.foretelling(bars, other).max())
    assert 1.0 < max(worst) < 5.0


def test_dates_that_are_looked_up_must_be_there(bars):
    def looked_up(view):
        if view.index[0] not in bars.index:
            raise ValueError("no such date")
        return view.close

    make = made_of(looked_up)
    _, foreign = outside_columns(bars, make(bars), make)
    assert foreign.text == "the same bars 28 years later make it fail: no such date"


def test_a_clock_that_counts_from_1970_is_a_clock(bars):
    def wave(view):
        hours = np.asarray(view.index.as_unit("s").asi8) / 3600
        return np.sin(2 * np.pi * hours / 24)[:, None] * view.close, np.cos(hours / 24)[:, None]

    for number, expected in ((0, ()), (1, None)):
        make = made_of(lambda view, number=number: wave(view)[number])
        clock, foreign = outside_columns(bars, make(bars), make)
        assert clock == ()
        if expected is None:  # no period of the calendar
            assert "does not follow from the clock" in foreign.text
        else:
            assert foreign is None


def test_whether_it_knows_a_table_is_part_of_the_audit(bars):
    table = pd.Series(np.random.default_rng(0).normal(size=len(bars)), index=bars.index)

    def features(view):
        return table.reindex(view.index).fillna(0.0).to_numpy()[:, None]

    assert_blamed(examine(bars, features=features), "columns", "was brought along")


def test_features_that_remember_are_not_deterministic(bars):
    calls = []

    def features(view):
        calls.append(view)
        return HONEST.features(view) + len(calls)

    report = examine(bars, features=features)
    assert not report.passed
    assert report.stages == ("asked twice",)
    assert report.lines()[-1].startswith("NOT DETERMINISTIC: asked twice, feature of ")


def made_predictions(bars):
    feature, labels = HONEST.features(bars), HONEST.labels(bars)
    splits = HONEST.splits(labels)
    fits = [HONEST.fit(bars, feature, labels, split) for split in splits]
    return HONEST.forecast(bars, feature, splits, fits)


def test_a_rule_is_looked_at_alone_too(bars):
    def rule(view, preds, leak=True):
        up = preds.prob_up > preds.prob_down
        rises = (ahead(view) > 0) & (np.arange(len(view)) % 13 == 7)[:, None]
        return Signals.from_frames(entries=up | (rises & leak), exits=~up)

    def traded(view, preds):
        return HONEST.sweep(view, preds, rule(view, preds))

    report = examine(bars, sweep=traded, rule=rule)
    assert {check.stage for check in report.checks if not check.identical} >= {"rule alone"}
    assert report.counts()["rule alone"][0] >= 50

    preds = made_predictions(bars)
    for knows in (lambda view: len(view) == len(bars), lambda view: view.index[-1].minute == 0):

        def last(view, preds, knows=knows):
            up = preds.prob_up > preds.prob_down
            month_end = view.index[-1].month
            here = (view.index.month == month_end)[:, None] & bool(knows(view))
            return Signals.from_frames(entries=up & here, exits=~up)

        assert any(d for _, d in cut_rule(bars, preds, last, seed=0))
    differences = [d for _, d in cut_rule(bars, preds, partial(rule, leak=False), seed=0)]
    assert len(differences) >= 50
    assert not any(differences)


@pytest.mark.parametrize("holds", [True, False])
def test_a_rule_that_holds_a_table_of_what_came_is_told(holds):
    bars = make_bars(bars=3_000, seed=4)
    preds = made_predictions(bars)
    lost = next_moves(bars)[:, None] < 0

    def vetoed(view, preds):
        up = preds.prob_up > preds.prob_down
        known = lost[: len(view)] if holds else view.close < view.open
        return Signals.from_frames(entries=up & ~known, short_entries=~up & known)

    found = alone.rule_foretells(bars, preds, vetoed)
    assert (found is not None) == holds
    if holds:
        assert "entries on another market's bars foretell these" in found.text


def test_an_account_that_never_trades_is_told(bars):
    def nothing(view, preds):
        never = np.zeros(view.close.shape, dtype=bool)
        return Signals.from_frames(entries=pd.DataFrame(never, view.index, list(view.symbols)))

    def traded(view, preds):
        return HONEST.sweep(view, preds, nothing(view, preds))

    report = examine(bars, sweep=traded, rule=nothing)
    assert report.passed
    assert not report.to_dict()["traded"]
    assert "the strategy never traded, so nothing is known of its orders" in report.lines()


def test_what_later_splits_have_learned_is_not_known_yet(bars):
    def forecast(view, feature, splits, fits):
        last = fits[-1].slope
        return HONEST.forecast(view, feature, splits, [replace(f, slope=last) for f in fits])

    def stranger(fit, split, learned):
        return replace(fit, slope=fit.slope / (2 if learned else 3))

    report = examine(bars, forecast=forecast, as_split=stranger)
    assert_blamed(report, "predictions")


def test_another_future_is_of_valid_bars_and_of_another_calendar(bars):
    lengths, pauses = set(), 0
    for bar in (3, 700, len(bars) - 1):
        other = another_future(bars, bar, seed=1)
        for name in FIELDS:
            np.testing.assert_array_equal(
                getattr(other, name)[: bar + 1], getattr(bars, name)[: bar + 1]
            )
        assert other.present.all()
        lengths.add(len(other) - bar)
        pauses += int((np.diff(other.index.asi8) > bars.step.value).sum())
    assert len(lengths) == 3
    assert pauses > 5


def test_cuts_alone_know_no_rhythm():
    bars = make_bars(bars=9_000, seed=1)
    cuts = cuts_alone(bars, 100, seed=0)
    regular = [cut.bar for cut in cuts if cut.why == "regular bar"]
    elsewhere = {cut.bar % 50 for cut in cuts if cut.why != "regular bar"}
    assert {bar % 50 for bar in regular} | elsewhere == set(range(50))
    assert regular[0] == 100
    assert {cut.why for cut in cuts} >= {
        "most volume", "least volume", "largest move", "widest range", "end of a day",
        "end of a week", "end of a month",
    }  # fmt: skip
