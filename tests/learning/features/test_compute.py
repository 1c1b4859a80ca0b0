from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pandas_features import pandas_features
from convnext_vbt.learning.features import ALL_FEATURES, Features, compute, compute_features
from convnext_vbt.market.bars import Bars
from tests.examples import examples
from tests.learning.markets import garbage_after, random_bars, random_frame, random_panel

OF_WINDOWS = (
    "candle_body", "candle_upper_wick", "candle_lower_wick", "volatility_ratio_24_168",
    "parkinson_over_close_24", "garman_klass_ratio_24_168", "bollinger_percent_b_20",
    "stochastic_k_14", "efficiency_24", "volume_zscore_24", "volume_trend_24_168",
    "chaikin_money_flow_24", "return_volume_correlation_24", "hour_sin", "weekday_cos",
)  # fmt: skip
"""Features without memory."""


@pytest.fixture(scope="module")
def quick():
    """The features that are warm within 450 bars."""
    bars = random_bars(num_bars=1_400)
    return [n for n in ALL_FEATURES if compute_features(bars, names=[n]).warmup < 450]


def test_about_thirty_features_with_one_warm_up():
    features = compute_features(random_bars(num_bars=1_400))
    assert features.names == ALL_FEATURES
    assert len(ALL_FEATURES) >= 28
    assert features.values.shape == (1_400, 1, len(ALL_FEATURES))
    assert features.values.dtype == np.float32
    assert not features.values.flags.writeable
    assert 1_000 < features.warmup < 1_300
    assert np.isnan(features.values[: features.warmup]).all()
    assert np.isfinite(features.values[features.warmup :]).all()


@pytest.mark.parametrize("name", ALL_FEATURES)
def test_each_feature_alone_equals_pandas_from_its_own_warm_up_on(name):
    frame = random_frame(num_bars=1_600, seed=2)
    features = compute_features(Bars.from_frame(frame), names=[name])
    expected = pandas_features(frame)[name].to_numpy()
    assert np.isnan(features.values[: features.warmup]).all()
    np.testing.assert_allclose(
        features.values[features.warmup :, 0, 0], expected[features.warmup :], rtol=0, atol=2e-6
    )


def test_a_symbol_with_gaps_is_walked_over_its_present_bars():
    panel = random_panel(num_bars=1_800, num_symbols=3, seed=4)
    features = compute_features(panel)
    for n in range(3):
        present = panel.present[:, n]
        frame = pd.DataFrame(
            {f: getattr(panel, f)[present, n] for f in ("open", "high", "low", "close", "volume")},
            index=panel.index[present],
        )
        alone = compute_features(Bars.from_frame(frame))
        np.testing.assert_array_equal(features.values[present, n], alone.values[:, 0])
        assert np.isnan(features.values[~present, n]).all()


def test_a_symbol_that_starts_late_and_ends_early_is_walked_alone():
    first = 333
    frame, other = (random_frame(num_bars=2_400, seed=seed) for seed in (4, 5))
    features = compute_features(Bars.from_frames({"A": frame, "B": other[first:-70]}))
    alone = compute_features(Bars.from_frame(other[first:-70]))
    np.testing.assert_array_equal(features.values[first:-70, 1], alone.values[:, 0])
    assert np.isnan(features.values[:first, 1]).all()
    assert np.isnan(features.values[-70:, 1]).all()
    assert np.isfinite(features.values[features.warmup :, 0]).all()


def test_each_feature_of_a_symbol_lies_in_one_row_of_memory():
    values = compute_features(random_panel(num_bars=1_500, num_symbols=2, seed=4)).values
    assert values.transpose(1, 2, 0).flags.c_contiguous


@pytest.mark.parametrize("num_bars", [5_000, 5_001, compute.MEMORY + 2_000, compute.MEMORY + 2_001])
def test_a_history_worked_in_chunks_is_that_worked_at_once(num_bars, monkeypatch):
    panel = random_panel(num_bars=num_bars, num_symbols=2, seed=12, missing=0.01)
    whole = compute_features(panel)
    monkeypatch.setattr(compute, "CHUNK", 1_000)
    chunks = compute_features(panel)
    assert len(panel) > compute.MEMORY + 1_000  # more than one
    np.testing.assert_allclose(chunks.values, whole.values, rtol=2e-7, atol=2e-7)
    without_memory = [whole.names.index(name) for name in OF_WINDOWS]
    np.testing.assert_array_equal(
        chunks.values[:, :, without_memory], whole.values[:, :, without_memory]
    )


def test_the_order_asked_for_is_the_order_given():
    bars = random_bars(num_bars=600)
    names = ("hour_cos", "rsi_14", "return_4", "candle_body")
    features = compute_features(bars, names=names)
    assert features.names == names
    for f, name in enumerate(names):
        alone = compute_features(bars, names=[name]).values[features.warmup :, 0, 0]
        np.testing.assert_array_equal(features.values[features.warmup :, 0, f], alone)


def test_a_symbol_that_is_not_there_yet_has_no_features_and_takes_none_from_others():
    frame, other = (random_frame(num_bars=1_800, seed=seed) for seed in (4, 5))
    early = Bars.from_frames({"A": frame, "B": other[1_500:]}).rows(0, 1_400)
    features = compute_features(early)
    assert features.names == ALL_FEATURES
    assert np.isnan(features.values[:, 1]).all()
    alone = compute_features(Bars.from_frame(frame[:1_400]))
    np.testing.assert_array_equal(features.values[:, 0], alone.values[:, 0])


@examples(30)
@given(t=st.integers(700, 790), seed=st.integers(0, 10_000))
def test_bars_after_t_leave_features_up_to_t_bit_identical(quick, t, seed):
    panel = random_panel(num_bars=800, num_symbols=3, seed=seed)
    before = compute_features(panel, names=quick)
    after = compute_features(garbage_after(panel, t, seed + 1), names=quick)
    assert before.values[: t + 1].tobytes() == after.values[: t + 1].tobytes()
    assert np.isfinite(before.values[t]).any()


def test_chunks_are_causal_too(monkeypatch):
    monkeypatch.setattr(compute, "CHUNK", 500)
    panel = random_panel(num_bars=compute.MEMORY + 1_100, num_symbols=2, seed=3)
    before = compute_features(panel).values
    for t in (compute.MEMORY + 400, compute.MEMORY + 499, compute.MEMORY + 700):
        after = compute_features(garbage_after(panel, t, t)).values
        assert before[: t + 1].tobytes() == after[: t + 1].tobytes()


def test_the_slowest_features_are_causal_too():
    panel = random_panel(num_bars=1_500, num_symbols=2, seed=9)
    before = compute_features(panel).values
    for t in (1_300, 1_377, 1_499):
        after = compute_features(garbage_after(panel, t, t)).values
        assert before[: t + 1].tobytes() == after[: t + 1].tobytes()


@pytest.mark.parametrize("name", ALL_FEATURES)
def test_each_feature_forgets_where_history_starts_within_its_own_warm_up(name):
    bars = random_bars(num_bars=2_000, seed=6)
    whole = compute_features(bars, names=[name])
    for start in range(1, 400, 57):
        later = compute_features(bars.rows(start, len(bars)), names=[name])
        np.testing.assert_allclose(
            later.values[later.warmup :], whole.values[start + later.warmup :], rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("start", [1, 333, 1_000, 4_321])
def test_a_later_start_of_history_is_forgotten_after_the_warm_up(start):
    bars = random_bars(num_bars=8_000, seed=6)
    whole = compute_features(bars)
    later = compute_features(bars.rows(start, len(bars)))
    np.testing.assert_allclose(
        later.values[later.warmup :], whole.values[start + later.warmup :], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("start", [1, 7, 16, 1_000])
def test_what_is_of_a_window_does_not_depend_on_where_the_history_starts(start):
    bars = random_bars(num_bars=2_500, seed=12)
    whole = compute_features(bars, names=OF_WINDOWS)
    later = compute_features(bars.rows(start, len(bars) - start), names=OF_WINDOWS)
    np.testing.assert_array_equal(
        later.values[later.warmup :], whole.values[start + later.warmup : len(bars) - start]
    )


def _dead(frame: pd.DataFrame, how: str) -> pd.DataFrame:
    frame = frame.copy()
    if how == "always flat":
        frame[["open", "high", "low", "close"]] = 100.0
    if how == "flat after a crash":
        frame.iloc[1_500:, :4] = 40.0
    if how == "no volume":
        frame["volume"] = 0.0
    if how == "volume stops":
        frame.iloc[1_500:, 4] = 0.0
    if how == "open is close":
        frame["open"] = frame["high"] = frame["low"] = frame["close"]
    if how == "tiny prices":
        frame.iloc[:, :4] *= 1e-9
    if how == "jumps":
        frame.iloc[1_500:1_700:2, :4] *= 50.0
    return frame


@pytest.mark.parametrize(
    "how",
    [
        "always flat",
        "flat after a crash",
        "no volume",
        "volume stops",
        "open is close",
        "tiny prices",
        "jumps",
    ],
)
def test_dead_and_wild_markets_give_finite_tame_values(how):
    bars = Bars.from_frame(_dead(random_frame(num_bars=3_000, seed=8), how))
    features = compute_features(bars)
    valid = features.values[features.warmup :]
    assert np.isfinite(valid).all()
    assert np.abs(valid).max() < 20


def test_a_flat_market_without_volume_gives_the_middle_of_everything():
    frame = _dead(_dead(random_frame(num_bars=1_400), "always flat"), "no volume")
    features = compute_features(Bars.from_frame(frame))
    last = dict(zip(features.names, features.values[-1, 0].tolist(), strict=True))
    nonzero = {"bollinger_percent_b_20": 0.5, "log_natr_14": np.log(np.float32(1e-4))}
    for name in ALL_FEATURES[:-4]:
        assert last[name] == pytest.approx(nonzero.get(name, 0.0), abs=1e-6), name


def test_time_is_that_of_the_bars_open_in_utc():
    index = pd.date_range("2024-01-01", periods=8 * 24, freq="h", tz="UTC")  # a Monday
    bars = Bars.from_frame(random_frame(num_bars=len(index)).set_index(index))
    names = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
    values = compute_features(bars, names=names).values[:, 0]
    np.testing.assert_allclose(values[0], [0, 1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(values[6, :2], [1, 0], atol=1e-6)
    np.testing.assert_allclose(values[84, 2:], [0, -1], atol=1e-6)  # Thursday noon
    np.testing.assert_allclose(values[168], values[0], atol=1e-6)


def own(bars: Bars) -> Features:
    values = np.diff(np.log(bars.close), axis=0, prepend=np.nan)[:, :, None]
    return Features(names=("raw_return",), values=values, warmup=1)


OF_VOLUME = (
    "vwap_distance_24", "volume_zscore_24", "volume_trend_24_168", "chaikin_money_flow_24",
    "return_volume_correlation_24",
)  # fmt: skip


def test_without_volume_the_features_made_of_it_are_left_out_and_named():
    bars = random_bars(num_bars=1300, seed=1)
    bare = replace(bars, volume=np.full_like(bars.volume, np.nan))
    with pytest.warns(
        UserWarning, match=f"no volume; features .* are left out: {', '.join(OF_VOLUME)}"
    ):
        features = compute_features(bare)
    assert features.names == tuple(name for name in ALL_FEATURES if name not in OF_VOLUME)
    whole = compute_features(bars)
    kept = [whole.names.index(name) for name in features.names]
    np.testing.assert_array_equal(features.values, whole.values[:, :, kept])
    with pytest.warns(UserWarning, match="are left out: volume_zscore_24$"):
        assert compute_features(bare, names=["rsi_14", "volume_zscore_24"]).names == ("rsi_14",)
    with pytest.raises(ValueError, match=r"are made \(volume_zscore_24\); choose others"):
        compute_features(bare, names=["volume_zscore_24"])


def test_daily_bars_have_no_hour_and_weekly_ones_no_weekday():
    bars = random_bars(num_bars=1300, seed=1)
    for step, lost in (("1D", {"hour_sin", "hour_cos"}), ("7D", set(ALL_FEATURES[-4:]))):
        index = pd.date_range("2010-01-04", periods=1300, freq=step, tz="UTC")
        names = compute_features(replace(bars, index=index, step=pd.Timedelta(step))).names
        assert set(ALL_FEATURES) - set(names) == lost


def test_a_users_own_features_extend_or_replace():
    bars = random_bars(num_bars=700)
    alone = compute_features(bars, function=own, extend=False)
    assert (alone.names, alone.warmup) == (("raw_return",), 1)
    assert alone.values.dtype == np.float32
    both = compute_features(bars, names=["rsi_14"], function=own)
    assert both.names == ("rsi_14", "raw_return")
    assert both.warmup == compute_features(bars, names=["rsi_14"]).warmup
    np.testing.assert_array_equal(
        both.values[both.warmup :, :, 1], alone.values[both.warmup :, :, 0]
    )
    assert np.isnan(both.values[: both.warmup]).all()


def test_a_users_longer_warm_up_holds_for_all():
    bars = random_bars(num_bars=400)

    def slow(bars):
        return Features(names=("slow",), values=np.ones((400, 1, 1), np.float32), warmup=300)

    both = compute_features(bars, names=["candle_body"], function=slow)
    assert both.warmup == 300
    assert np.isnan(both.values[:300]).all()
    assert np.isfinite(both.values[300:]).all()


def make(names=("a",), shape=(50, 1, 1), warmup=0, fill=1.0, dtype=np.float32):
    return lambda _: Features(names=names, values=np.full(shape, fill, dtype), warmup=warmup)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (make(names=()), r"names must be distinct, non-empty and at least one, got \(\)"),
        (make(names=("a", "a"), shape=(50, 1, 2)), r"must be distinct.*got \('a', 'a'\)"),
        (make(names=("",)), r"must be distinct, non-empty"),
        (make(names=("candle_body",)), r"gives candle_body, which is built in; rename it"),
        (
            make(shape=(50, 1, 2)),
            r"must have shape \(bars, symbols, 1 features\), got \(50, 1, 2\)",
        ),
        (make(shape=(50, 1)), r"must have shape .*got \(50, 1\)"),
        (
            make(shape=(49, 1, 1)),
            r"must give values for \(50, 1\) \(bars, symbols\), got \(49, 1\)",
        ),
        (make(dtype=np.int64), r"must be float32, got int64"),
        (make(warmup=-1), r"warmup must be a number of bars >= 0, got -1"),
        (make(warmup=2.5), r"warmup must be a number of bars >= 0, got 2.5"),
        (make(warmup=50), r"states a warm-up of 50 bars, but there are only 50"),
        (make(fill=np.inf, warmup=3), r"a of A is inf at bar 3 .*past its warm-up of 3 bars"),
    ],
)
def test_a_users_features_are_checked(function, message):
    with pytest.raises(ValueError, match=message):
        compute_features(random_bars(num_bars=50), names=["candle_body"], function=function)


def test_a_users_function_must_return_features():
    def bad(bars):
        return bars.frame("close")

    with pytest.raises(TypeError, match="'bad' must return Features, got DataFrame"):
        compute_features(random_bars(num_bars=50), function=bad, extend=False)


def test_wrong_requests_say_what_to_do():
    bars = random_bars(num_bars=50)
    with pytest.raises(ValueError, match=r"unknown feature 'rsi14'.*did you mean 'rsi_14'\?"):
        compute_features(bars, names=["rsi14"])
    with pytest.raises(ValueError, match=r"unknown feature 'zzz'.*there are return_1, return_4"):
        compute_features(bars, names=["zzz"])
    with pytest.raises(
        TypeError, match="must be a sequence of feature names, got the text 'rsi_14'"
    ):
        compute_features(bars, names="rsi_14")
    with pytest.raises(ValueError, match=r"features.names is empty; name at least one feature"):
        compute_features(bars, names=[])
    with pytest.raises(ValueError, match=r"first value after 1,161 bars, but .* has 50; load more"):
        compute_features(bars)
    with pytest.raises(ValueError, match=r"extend=False replaces them; drop one of"):
        compute_features(bars, names=["rsi_14"], function=own, extend=False)
