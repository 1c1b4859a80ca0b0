import dataclasses
import json
import math
import pickle

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnext_vbt.predictions import (
    QUANTILE_LEVELS,
    Predictions,
    Split,
    SplitFit,
    Target,
    file,
)
from convnext_vbt.predictions.probabilities import _conformal_limit
from tests.examples import examples

INDEX = pd.date_range("2024-01-01", periods=12, freq="h", tz="UTC", unit="ns")
NAN3 = [np.nan] * 3


def step_quantiles(scores):
    return np.quantile(scores, QUANTILE_LEVELS, method="nearest")


def predictions(**changes) -> Predictions:
    """Two symbols, two splits (numbers 3 and 5); the first 4 bars and one more have none."""
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1, 1], size=(12, 2)).astype(np.float32)
    split = np.full((12, 2), 3)
    split[8:] = 5
    split[:4] = split[9, 1] = -1
    proba[split < 0] = np.nan
    ranges = {"train": (0, 3), "folds": 3, "embargo": 1}
    fit = {"epochs": 7, "prior_loss": 1.1, "prior": (0.25, 0.5, 0.25)}
    fields = {
        "index": INDEX,
        "symbols": ("BTC/USDT", "ETH/USDT"),
        "proba": proba,
        "split": split,
        "splits": (Split(number=3, test=(4, 8), **ranges), Split(number=5, test=(8, 12), **ranges)),
        "fits": (
            SplitFit(number=3, valid_loss=1.05, num_scores=9, **fit),
            SplitFit(number=5, valid_loss=1.2, num_scores=8, **fit),
        ),
        "quantiles": np.stack([QUANTILE_LEVELS, QUANTILE_LEVELS**2]),
        "nonconformity": np.stack([step_quantiles(0.1 * np.arange(1, n + 1)) for n in (9, 8)]),
        "target": Target(kind="barrier", horizon=24, up=1.0, down=1.5, halflife=24.0),
        "receptive_field": 256,
    }
    return Predictions(**(fields | changes))


def same(a: Predictions, b: Predictions) -> bool:
    return (
        a.index.equals(b.index)
        and a.proba.tobytes() == b.proba.tobytes()
        and a.split.tobytes() == b.split.tobytes()
        and (a.quantiles is None) == (b.quantiles is None)
        and (a.quantiles is None or a.quantiles.tobytes() == b.quantiles.tobytes())
        and (a.nonconformity is None) == (b.nonconformity is None)
        and (a.nonconformity is None or a.nonconformity.tobytes() == b.nonconformity.tobytes())
        and len(a.members) == len(b.members)
        and all(same(*pair) for pair in zip(a.members, b.members, strict=True))
        and all(
            getattr(a, name) == getattr(b, name)
            for name in ("symbols", "splits", "fits", "target", "receptive_field")
        )
    )


def test_frames_and_summary():
    preds = predictions()
    first, count, *_ = repr(preds).splitlines()
    assert first == "Predictions of BTC/USDT, ETH/USDT"
    assert count.split("  ")[-1] == "15 of 24 bars"
    total = preds.prob_down + preds.prob_stay + preds.prob_up
    assert total.iloc[:4].isna().all(axis=None)
    np.testing.assert_allclose(total.iloc[4:9], 1, atol=1e-6)
    np.testing.assert_array_equal(preds.prob_up["ETH/USDT"], preds.proba[:, 1, 2])
    np.testing.assert_array_equal(preds.prob_down["BTC/USDT"], preds.proba[:, 0, 0])
    assert [fit.learned for fit in preds.fits] == [True, False]
    assert preds.proba.dtype == np.float32
    assert preds.split.dtype == np.int16
    for values in (preds.proba, preds.split, preds.quantiles, preds.nonconformity):
        assert not values.flags.writeable


def test_a_quantile_threshold_is_each_bars_own_splits():
    quantile = predictions().confidence_quantile(0.9)
    assert np.isnan(quantile[:4]).all()
    assert np.isnan(quantile[9, 1])
    np.testing.assert_allclose(quantile[4:8], 0.9, rtol=1e-6)
    np.testing.assert_allclose(quantile[8], 0.81, rtol=1e-6)
    # Between two stored levels it is interpolated.
    assert predictions().confidence_quantile(0.90025)[4, 0] == pytest.approx(0.90025, abs=1e-6)


def test_quantiles_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"know what came before.* its splits=, or .* 0\.5"):
        predictions(quantiles=None).confidence_quantile(0.9)
    with pytest.raises(ValueError, match=r"quantile level must lie in \[0, 1\], got 90"):
        predictions().confidence_quantile(90)


def test_a_conformal_set_holds_what_is_not_too_strange():
    """Nine scores 0.1 ... 0.9: at 80 % the limit is the eighth of them; eight: the 8th of 0.8."""
    preds = predictions()
    sets = preds.conformal_sets(0.8)
    made = preds.split >= 0
    assert sets.shape == (12, 2, 3)
    assert not sets[~made].any()
    for number in (3, 5):
        own = preds.split == number
        np.testing.assert_array_equal(sets[own], 1 - preds.proba[own] <= np.float32(0.8))
    # ceil((n + 1) 0.9) is the ninth score: there is one in split 3, split 5 can rule nothing out.
    sets = preds.conformal_sets(0.9)
    own = preds.split == 3
    np.testing.assert_array_equal(sets[own], 1 - preds.proba[own] <= np.float32(0.9))
    assert sets[preds.split == 5].all()


@pytest.mark.parametrize("count", [1, 2, 30, 500, 1001, 1002, 5000])
@pytest.mark.parametrize("coverage", [0.05, 0.5, 0.8, 0.9, 0.99])
def test_a_conformal_limit_is_the_score_of_its_rank_or_one_little_above(count, coverage):
    scores = np.sort(np.random.default_rng(count).random(count))
    found = _conformal_limit(step_quantiles(scores), count, coverage)
    rank = math.ceil(round((count + 1) * coverage, 9))
    if rank > count:
        assert found == 1.0
        return
    place = int(np.searchsorted(scores, found))
    assert rank - 1 <= place <= rank - 1 + count / 1000 + 0.5
    if count <= 500:
        assert found == scores[rank - 1]


def test_conformal_sets_cover_what_comes_from_the_same_law():
    rng = np.random.default_rng(0)
    num_bars, count = 20_000, 8_000
    proba = rng.dirichlet([2, 3, 2], size=num_bars + count).astype(np.float32)
    truth = (rng.random((num_bars + count, 1)) > proba.cumsum(axis=1)[:, :2]).sum(axis=1)
    scores = 1 - proba[np.arange(len(truth)), truth]
    preds = Predictions(
        index=pd.date_range("2020-01-01", periods=num_bars, freq="h", tz="UTC"),
        symbols=("A",),
        proba=proba[count:, None],
        split=np.zeros((num_bars, 1)),
        splits=(dataclasses.replace(predictions().splits[0], number=0),),
        fits=(dataclasses.replace(predictions().fits[0], number=0, num_scores=count),),
        nonconformity=step_quantiles(scores[:count])[None],
    )
    for coverage in (0.5, 0.8, 0.9, 0.95):
        sets = preds.conformal_sets(coverage)[:, 0]
        covered = sets[np.arange(num_bars), truth[count:]].mean()
        assert covered == pytest.approx(coverage, abs=0.015)


def test_conformal_sets_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match=r"conformal sets need .*; leave abstain out"):
        predictions(nonconformity=None).conformal_sets(0.9)
    for coverage in (0, 1, 90):
        with pytest.raises(
            ValueError, match=rf"coverage must lie in \(0, 1\), got {coverage}; 0.8"
        ):
            predictions().conformal_sets(coverage)


def at(row, values):
    proba = predictions().proba.copy()
    proba[row, 0] = values
    return proba


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"proba": np.zeros((12, 2))}, r"proba must have shape \(12, 2, 3\)"),
        ({"proba": at(5, [0.5, 0.6, 0.1])}, r"05:00:00.*sum to 1, got \[0\.5, 0\.6"),
        ({"proba": at(5, [-0.5, 1.0, 0.5])}, r"05:00:00.*must be >= 0 and sum to 1, got \[-0\.5"),
        ({"proba": at(5, [np.inf, 0.0, 0.0])}, r"05:00:00.*finite exactly where split >= 0"),
        ({"proba": at(5, NAN3)}, r"05:00:00.*got \[nan, nan, nan\] in split 3"),
        ({"proba": at(1, [0.2, 0.3, 0.5])}, r"01:00:00.*finite exactly.*in split -1"),
        ({"proba": at(1, [np.nan, 0.3, np.nan])}, r"01:00:00.*finite exactly"),
        (
            {"splits": predictions().splits[:1], "quantiles": None, "nonconformity": None},
            r"numbers \[3, 5\].*holds \[3\]",
        ),
        (
            {"nonconformity": np.zeros((1, 1001))},
            r"nonconformity must have shape \(2, 1001\), got \(1, 1001\)",
        ),
        ({"fits": predictions().fits[1:]}, r"needs a fit for each split \[3, 5\].*got fits \[5\]"),
        ({"quantiles": np.zeros((2, 11))}, r"quantiles must have shape \(2, 1001\), got \(2, 11\)"),
        (
            {"members": (predictions(), predictions(index=INDEX + pd.Timedelta("1h")))},
            r"members must be predictions of the same bars, symbols and splits",
        ),
        ({"index": INDEX.tz_localize(None)}, r"must be UTC, got time zone None"),
        ({"index": INDEX[::-1]}, r"row 1: .*10:00.* does not come after .*11:00"),
        ({"index": INDEX[[0, *range(11)]]}, r"row 1: .* keep one row per timestamp"),
    ],
)
def test_inconsistent_predictions_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        predictions(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            name: () if name in ("splits", "fits") else None
            for name in ("quantiles", "nonconformity", "splits", "fits", "target")
        },
        {"proba": np.full((12, 2, 3), np.nan), "split": np.full((12, 2), -1)},
        {"members": (predictions(proba=predictions().proba[:, :, ::-1]), predictions())},
    ],
)
def test_a_file_comes_back_bit_for_bit(tmp_path, changes):
    preds = predictions(**changes)
    preds.save(tmp_path / "p.parquet")
    assert same(Predictions.load(tmp_path / "p.parquet"), preds)
    files = ["p.members.parquet", "p.parquet"] if preds.members else ["p.parquet"]
    assert sorted(file.name for file in tmp_path.iterdir()) == files


def test_a_nan_of_another_bit_pattern_is_the_same_nan(tmp_path):
    negative = -predictions().proba
    proba = np.where(np.isnan(negative), negative, -negative)
    assert np.signbit(proba[0, 0, 0])
    preds = predictions(proba=proba)
    preds.save(tmp_path / "p.parquet")
    assert same(Predictions.load(tmp_path / "p.parquet"), predictions())


def test_the_file_is_plain_parquet_for_everybody_else(tmp_path):
    preds = predictions()
    preds.save(tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table.columns) == [
        *("timestamp", "symbol", "split", "prob_down", "prob_stay", "prob_up")
    ]
    assert len(table) == 15
    one = table[table["symbol"] == "ETH/USDT"].set_index("timestamp")["prob_up"]
    pd.testing.assert_series_equal(
        one, preds.prob_up["ETH/USDT"].dropna(), check_names=False, check_freq=False
    )


def test_a_missing_file_and_other_files_are_answered(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"p\.parquet does not exist; run the strategy"):
        Predictions.load(tmp_path / "p.parquet")
    (tmp_path / "text.parquet").write_text("not parquet at all")
    with pytest.raises(ValueError, match=r"not a readable predictions file .*delete it and run"):
        Predictions.load(tmp_path / "text.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"not a readable predictions file"):
        Predictions.load(tmp_path / "other.parquet")


def rewrite(path, change):
    """Write a sound Parquet file whose contents were tampered with."""
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    table, metadata = change(table, metadata)
    pq.write_table(table.replace_schema_metadata(metadata), path)


def header_with(**changes):
    def change(table, metadata):
        fields = json.loads(metadata[b"convnext_vbt"]) | changes
        return table, metadata | {b"convnext_vbt": json.dumps(fields, sort_keys=True).encode()}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (header_with(format=1), r"has predictions format 1, not 3; delete it and run"),
        (header_with(receptive_field=1), r"is damaged: its digest does not match; delete it"),
        (header_with(target={"flavour": "other"}), r"is damaged \(.*; delete it"),
        (header_with(index="AAAA"), r"is damaged \("),
        (header_with(symbols=["A", "B"]), r"is damaged"),
        (lambda table, metadata: (table.slice(1), metadata), r"digest does not match"),
        (lambda table, metadata: (table.drop_columns(["split"]), metadata), r"is damaged \("),
        (lambda t, m: (t.take([1, 0, *range(2, 15)]).slice(0, 15), m), None),
        (lambda t, m: (t, {k: v for k, v in m.items() if k != b"digest"}), r"is damaged \("),
        (lambda t, m: (t, {b"convnext_vbt": b"[]"}), r"not a readable predictions file"),
    ],
)
def test_tampering_shows(tmp_path, change, message):
    path = tmp_path / "p.parquet"
    predictions().save(path)
    rewrite(path, change)
    if message is None:  # the order of the rows carries nothing
        assert same(Predictions.load(path), predictions())
        return
    with pytest.raises(ValueError, match=message) as caught:
        Predictions.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "p.parquet"
    predictions().save(path)
    return path.read_bytes()


@examples(150)
@given(data=st.data())
def test_a_damaged_byte_never_passes_as_other_predictions(sound, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flip") / "p.parquet"
    where = data.draw(st.integers(0, len(sound) - 1))
    flipped = bytearray(sound)
    flipped[where] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        loaded = Predictions.load(path)
    except ValueError as error:
        assert str(error).startswith(str(path))  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:  # the byte carried nothing, such as the writer's name
        assert same(loaded, predictions())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(sound, tmp_path, share):
    (tmp_path / "p.parquet").write_bytes(sound[: int(len(sound) * share)])
    with pytest.raises(ValueError, match=r"not a readable predictions file .*; delete it and run"):
        Predictions.load(tmp_path / "p.parquet")


def test_the_remedy_is_the_same_everywhere():
    assert file.REMEDY == "delete it and run the strategy again"


UP = pd.DataFrame({"A": [np.nan, 0.5, 0.2]}, index=INDEX[:3])
DOWN = pd.DataFrame({"A": [np.nan, 0.2, 0.8]}, index=INDEX[:3])


def test_anybodys_probabilities_leave_the_rest_to_stay():
    preds = Predictions.from_frames(prob_up=UP, prob_down=DOWN)
    assert preds.symbols == ("A",)
    assert preds.split[:, 0].tolist() == [-1, 0, 0]
    np.testing.assert_allclose(preds.proba[1:, 0], [[0.2, 0.3, 0.5], [0.8, 0.0, 0.2]], atol=1e-7)
    # Exactly what was given: a threshold of 0.5 is met by 0.5.
    assert preds.proba[1, 0, 2] == np.float32(0.5)


@pytest.mark.parametrize(
    ("names", "symbol"),
    [(("BTC", "BTC"), "BTC"), (("up", "down"), "asset"), ((None, None), "asset")],
)
def test_two_series_are_one_symbol(names, symbol):
    up, down = (frame["A"].rename(name) for frame, name in zip((UP, DOWN), names, strict=True))
    assert Predictions.from_frames(prob_up=up, prob_down=down).symbols == (symbol,)


def test_times_without_a_zone_are_utc_and_others_are_converted():
    for zone in (None, "Asia/Tokyo"):
        index = INDEX[:3].tz_convert(zone)
        preds = Predictions.from_frames(prob_up=UP.set_axis(index), prob_down=DOWN.set_axis(index))
        assert preds.index.equals(INDEX[:3])


def put(frame, value):
    out = frame.copy()
    out.iloc[1, 0] = value
    return out


@pytest.mark.parametrize(
    ("up", "down", "kind", "message"),
    [
        (put(UP, 0.9), DOWN, ValueError, r"01:00.*P\(UP\)=0\.9 and P\(DOWN\)=0\.2 must both be"),
        (put(UP, -0.1), DOWN, ValueError, r"01:00.*P\(UP\)=-0\.1"),
        (put(UP, np.inf), DOWN, ValueError, r"01:00.*P\(UP\)=inf"),
        (put(UP, np.nan), DOWN, ValueError, r"01:00.*P\(UP\)=nan.*both be NaN for no prediction"),
        (UP, DOWN.rename(columns={"A": "B"}), ValueError, r"share their index and columns"),
        (UP, DOWN.iloc[:2], ValueError, r"\(3, 1\) and prob_down \(2, 1\) must share"),
        (UP, DOWN["A"], TypeError, r"two frames or two series, got DataFrame and Series"),
        (UP.iloc[::-1], DOWN.iloc[::-1], ValueError, r"row 1: .*does not come after"),
        (
            UP.reset_index(drop=True),
            DOWN.reset_index(drop=True),
            TypeError,
            r"need a DatetimeIndex of bar open times, got RangeIndex",
        ),
    ],
)
def test_frames_that_are_no_probabilities_are_refused(up, down, kind, message):
    with pytest.raises(kind, match=message):
        Predictions.from_frames(prob_up=up, prob_down=down)


def test_pickled_predictions_are_the_same():
    preds = predictions()
    assert same(pickle.loads(pickle.dumps(preds)), preds)  # noqa: S301


def test_the_networks_of_an_ensemble_lie_in_a_file_of_their_own(tmp_path):
    path = tmp_path / "predictions.parquet"
    whole = predictions(members=(predictions(proba=predictions().proba[:, :, ::-1]), predictions()))
    whole.save(path)
    plain = ["timestamp", "symbol", "split", "prob_down", "prob_stay", "prob_up"]
    assert list(pd.read_parquet(path).columns) == plain
    assert same(Predictions.load(path), whole)
    members = tmp_path / "predictions.members.parquet"
    raw = members.read_bytes()
    members.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match=r"predictions\.parquet is damaged"):
        Predictions.load(path)
    members.unlink()
    with pytest.raises(ValueError, match=r"predictions\.members\.parquet"):
        Predictions.load(path)
