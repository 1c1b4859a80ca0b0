from dataclasses import replace

import numpy as np
import pytest

from convnext_vbt.evidence.nulls.bootstrapped_bars import bootstrapped_bars, bootstrapped_bars_null
from convnext_vbt.evidence.nulls.shuffled_labels import shuffled_labels, shuffled_labels_null
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.stages import Stages
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.learning.splits import WalkForward
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.predictions import Predictions
from tests.evidence.markets import TARGET, make_bars, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


def trending_bars(seed=0, count=3000) -> Bars:
    """Prices whose drift has the sign of a coin that is thrown every 48 bars."""
    rng = np.random.default_rng(seed)
    drift = np.repeat(rng.choice([-1, 1], count // 48 + 1), 48)[:count] * 0.0015
    close = 100 * np.exp(np.cumsum(drift + rng.normal(scale=0.004, size=count)))[:, None]
    first = np.vstack([[[100.0]], close[:-1]])
    top, bottom = np.maximum(first, close), np.minimum(first, close)
    template = make_bars(bars=count)
    return replace(
        template, open=first, high=top * 1.001, low=bottom * 0.999, close=close,
        volume=np.ones_like(close),
    )  # fmt: skip


def momentum(bars):
    """Feature: whether the last 12 bars went up, int (T,)."""
    past = np.roll(bars.close[:, 0], 12)
    past[:12] = bars.close[:12, 0]
    return (bars.close[:, 0] > past).astype(int)


def predict(bars, feature, labels, splits):
    """Class frequencies of the training range given the feature: the smallest of networks."""
    proba = np.full((*bars.close.shape, 3), np.nan)
    number = np.full(bars.close.shape, -1)
    for split in splits:
        rows = np.arange(*split.train)
        rows = rows[labels.values[rows, 0] >= 0]
        test = slice(*split.test)
        for value in (0, 1):
            counts = np.bincount(labels.values[rows[feature[rows] == value], 0], minlength=3)
            proba[test, 0][feature[test] == value] = (counts + 1) / (counts.sum() + 3)
        number[test] = split.number
    return Predictions(
        index=bars.index, symbols=bars.symbols, proba=proba, split=number, splits=tuple(splits),
        target=TARGET,
    )  # fmt: skip


STAGES = Stages(
    horizon=TARGET.horizon,
    features=momentum,
    labels=lambda bars: labels_for(bars, TARGET),
    splits=lambda labels: WalkForward(train=900, test=300).split(labels),
    predict=predict,
    sweep=lambda bars, preds: make_sweep(bars, preds, threshold=[0.36], hysteresis=0.0, full=0.6),
)


def observed(bars):
    from convnext_vbt.evidence.headline import headline

    labels = STAGES.labels(bars)
    preds = STAGES.predict(bars, STAGES.features(bars), labels, STAGES.splits(labels))
    return headline(STAGES.sweep(bars, preds)).sharpe


def test_what_is_learned_from_labels_is_lost_with_them():
    bars = trending_bars()
    sharpe = observed(bars)
    found = shuffled_labels_null(bars, STAGES, Preset(seed=1), observed=sharpe, draws=9)
    assert sharpe > 2
    assert found.p_value == 0.1
    assert found.observed == sharpe
    again = shuffled_labels_null(bars, STAGES, Preset(seed=1), observed=sharpe, draws=5)
    np.testing.assert_array_equal(again.draws, found.draws[:5])


def test_a_draw_that_only_waits_earned_nothing_and_is_not_as_good():
    waiting = replace(
        STAGES, sweep=lambda bars, preds: make_sweep(bars, preds, threshold=[0.98], full=0.99)
    )
    bars = trending_bars()
    found = shuffled_labels_null(bars, waiting, Preset(seed=1), observed=1.0, draws=4)
    assert found.draws.tolist() == found.total_returns.tolist() == [0.0] * 4
    assert found.p_value == 0.2
    lost = shuffled_labels_null(bars, waiting, Preset(seed=1), observed=-1.0, draws=4)
    assert lost.p_value == 1.0


def test_memory_longer_than_a_block_is_lost_with_blocks():
    bars = trending_bars()
    sharpe = observed(bars)
    found = bootstrapped_bars_null(
        bars, STAGES, Preset(seed=1), observed=sharpe, block_bars=3, draws=9
    )
    assert found.p_value == 0.1
    kept = bootstrapped_bars_null(
        bars, STAGES, Preset(seed=1), observed=sharpe, block_bars=1000, draws=3
    )
    assert np.median(kept.draws) > np.max(found.draws)


def test_shuffled_labels_keep_their_frequencies_and_their_gaps():
    bars = make_bars(symbols=2)
    labels = labels_for(bars, TARGET)
    mixed = shuffled_labels(labels, np.random.default_rng(0))
    np.testing.assert_array_equal(mixed.values < 0, labels.values < 0)
    np.testing.assert_array_equal(mixed.end, labels.end)
    for n in range(2):
        before, after = labels.values[:, n], mixed.values[:, n]
        np.testing.assert_array_equal(np.sort(before), np.sort(after))
        assert (before != after).mean() > 0.3


def moves(bars):
    """Prices over the close before, for each bar but the first, (T - 1, 4)."""
    return np.column_stack(
        [getattr(bars, f)[1:, 0] / bars.close[:-1, 0] for f in FIELDS if f != "volume"]
    )


def test_bootstrapped_bars_are_made_of_blocks_of_real_ones():
    bars = make_bars(bars=4000)
    drawn = bootstrapped_bars(bars, 20, np.random.default_rng(0))
    assert drawn.index.equals(bars.index)
    assert (drawn.step, drawn.days_per_year) == (bars.step, bars.days_per_year)
    original = moves(bars)
    row_of = {round(value, 10): row for row, value in enumerate(original[:, 3])}
    assert len(row_of) > 3990
    ours = moves(drawn)
    rows = np.array([row_of.get(round(value, 10), -9) for value in ours[:, 3]])
    known = rows >= 0
    assert known.mean() > 0.99  # the first bar's own move has no close before it
    np.testing.assert_allclose(ours[known], original[rows[known]], rtol=1e-9)
    np.testing.assert_array_equal(drawn.volume[1:, 0][known], bars.volume[1:, 0][rows[known]])
    follows = np.diff(rows)[known[1:] & known[:-1]] == 1
    assert (~follows).mean() == pytest.approx(1 / 20, abs=0.015)


def test_a_panel_is_drawn_together_with_its_missing_bars():
    pair = make_bars(bars=500, symbols=2)
    gone = np.zeros(pair.close.shape, dtype=bool)
    gone[:50, 1] = gone[200:220, 0] = True
    pair = replace(pair, **{f: np.where(gone, np.nan, getattr(pair, f)) for f in FIELDS})
    drawn = bootstrapped_bars(pair, 10, np.random.default_rng(3))
    share = (~drawn.present).mean(axis=0)
    assert share == pytest.approx([20 / 500, 50 / 500], abs=0.08)
    assert (share > 0).all()
    assert not (~drawn.present).all(axis=1).any()  # never both at once, as in the original


def test_blocks_have_at_least_one_bar():
    bars = make_bars(bars=100)
    with pytest.raises(ValueError, match=r"block_bars must be at least 1, got 0.5"):
        bootstrapped_bars(bars, 0.5, np.random.default_rng(0))
