from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from convnext_vbt.errors import InputError
from convnext_vbt.learning.labels import NO_LABEL, Labels, barrier_labels
from convnext_vbt.learning.splits import Splits, WalkForward
from convnext_vbt.predictions import Split
from tests.examples import examples
from tests.learning.markets import hours, random_panel

RANGES = ("train", "test")


def labels_of(num_bars, horizon, num_symbols=1, opens=None):
    """Labels that all take `horizon` bars, with none where the data end; hours, if not said."""
    rows = np.arange(num_bars)[:, None] + np.zeros(num_symbols, dtype=np.int64)
    return Labels(
        values=np.where(rows + horizon < num_bars, rows % 3, NO_LABEL),
        end=np.minimum(rows + horizon, num_bars - 1),
        opens=hours(num_bars) if opens is None else opens,
    )


def table(splits):
    return [tuple(getattr(split, name) for name in RANGES) for split in splits]


def test_rolling_splits_of_a_hundred_bars():
    splits = WalkForward(train=40, test=20).split(labels_of(100, 3))
    assert table(splits) == [
        ((0, 37), (40, 60)),
        ((20, 57), (60, 80)),
        ((40, 77), (80, 100)),
    ]
    assert [split.number for split in splits] == [0, 1, 2]


def test_expanding_splits_keep_the_first_bar_and_a_shorter_last_test_range():
    walk = WalkForward(train=40, test=25, embargo=2, expanding=True, folds=3)
    splits = walk.split(labels_of(100, 1))
    assert table(splits) == [
        ((0, 37), (40, 65)),
        ((0, 62), (65, 90)),
        ((0, 87), (90, 100)),
    ]
    assert {(split.folds, split.embargo) for split in splits} == {(3, 2)}


def test_the_whole_tail_goes_from_the_first_label_that_reaches_the_next_range():
    quick = labels_of(100, 1)
    end = quick.end.copy()
    end[20] = 50  # one slow label, first row of the tail; rows 21 to 48 end in time
    slow = Labels(values=quick.values, end=end, opens=quick.opens)
    walk = WalkForward(train=50, test=50)
    assert walk.split(quick)[0].train == (0, 49)
    assert walk.split(slow)[0].train == (0, 20)
    end[20] = 49
    just = Labels(values=quick.values, end=end, opens=quick.opens)
    assert walk.split(just)[0].train == (0, 49)


def test_any_symbol_purges_for_all_and_so_does_a_row_without_label():
    quick = labels_of(100, 1, num_symbols=2)
    end, values = quick.end.copy(), quick.values.copy()
    end[10, 1] = 55
    walk = WalkForward(train=50, test=50)
    slow = Labels(values=values, end=end, opens=quick.opens)
    assert walk.split(slow)[0].train == (0, 10)
    values[10, 1] = NO_LABEL
    unknown = Labels(values=values, end=end, opens=quick.opens)
    assert walk.split(unknown)[0].train == (0, 10)


def spans(index, horizon=1, **settings_):
    """(first bar, last bar, first tested, last tested) of each split, and the splits."""
    splits = WalkForward(**settings_).split(labels_of(len(index), horizon, opens=index))
    dates = [
        tuple(f"{index[bar]:%Y-%m-%d %H:%M}" for start, stop in s for bar in (start, stop - 1))
        for s in table(splits)
    ]
    return dates, splits


def days(first, last, freq="D"):
    return pd.date_range(first, last, freq=freq, tz="UTC")


def sessions(first, last):
    """Hours from 14:30 to 20:30 on weekdays, as an exchange in New York has them."""
    opens = pd.bdate_range(first, last, tz="UTC")
    return pd.DatetimeIndex(
        [day + pd.Timedelta(hours=hour, minutes=30) for day in opens for hour in range(14, 21)]
    )


def test_a_year_of_hours_around_the_clock():
    hourly = WalkForward(train="365D", test="90D").split(labels_of(20_000, 24))
    assert hourly[0].test == (8760, 8760 + 2160)
    assert WalkForward(train="48h", test=10).split(labels_of(100, 1))[0].test == (48, 58)
    assert WalkForward(train=48, test="10h").split(labels_of(100, 1))[0].test == (48, 58)


def test_a_year_of_hours_with_a_hole_of_ten_days():
    index = days("2022-01-01", "2023-09-30 23:00", "h")
    hole = (index >= pd.Timestamp("2022-03-01", tz="UTC")) & (
        index < pd.Timestamp("2022-03-11", tz="UTC")
    )
    dates, splits = spans(index[~hole], train="365D", test="90D")
    assert dates == [
        ("2022-01-01 00:00", "2022-12-31 22:00", "2023-01-01 00:00", "2023-03-31 23:00"),
        ("2022-04-01 00:00", "2023-03-31 22:00", "2023-04-01 00:00", "2023-06-29 23:00"),
        ("2022-06-30 00:00", "2023-06-29 22:00", "2023-06-30 00:00", "2023-09-27 23:00"),
        ("2022-09-28 00:00", "2023-09-27 22:00", "2023-09-28 00:00", "2023-09-30 23:00"),
    ]
    assert [s.test[0] - s.train[0] for s in splits] == [8760 - 240, 8760, 8760, 8760]


def test_a_test_range_goes_on_behind_a_hole_and_begins_at_its_end():
    index = days("2024-01-01", "2024-03-31 23:00", "h")
    within = (index >= pd.Timestamp("2024-02-12", tz="UTC")) & (
        index < pd.Timestamp("2024-02-22", tz="UTC")
    )
    dates, _ = spans(index[~within], train="30D", test="10D")
    assert [(first, tested, last) for first, _, tested, last in dates][:3] == [
        ("2024-01-01 00:00", "2024-01-31 00:00", "2024-02-09 23:00"),
        ("2024-01-11 00:00", "2024-02-10 00:00", "2024-02-11 23:00"),
        ("2024-01-23 00:00", "2024-02-22 00:00", "2024-03-02 23:00"),
    ]


def test_a_year_of_an_exchanges_hours():
    # 2023-01-03 is a Tuesday, a year after a Monday; 90 days on it is Monday, then Sunday.
    dates, _ = spans(sessions("2022-01-03", "2023-08-31"), train="365D", test="90D")
    assert dates == [
        ("2022-01-03 14:30", "2023-01-02 19:30", "2023-01-03 14:30", "2023-03-31 20:30"),
        ("2022-04-04 14:30", "2023-03-31 19:30", "2023-04-03 14:30", "2023-06-30 20:30"),
        ("2022-07-04 14:30", "2023-06-30 19:30", "2023-07-03 14:30", "2023-08-31 20:30"),
    ]


def test_a_year_of_weekdays_and_of_weeks():
    dates, _ = spans(pd.bdate_range("2020-01-01", "2021-06-30", tz="UTC"), train="365D", test="90D")
    assert dates[0] == (
        "2020-01-01 00:00", "2020-12-29 00:00", "2020-12-31 00:00", "2021-03-30 00:00"
    )  # fmt: skip
    weeks = days("2020-01-06", "2021-12-27", "W-MON")
    dates, splits = spans(weeks, train="365D", test="90D")
    assert splits[0].test == (52, 65)
    assert dates[0] == (
        "2020-01-06 00:00", "2020-12-21 00:00", "2021-01-04 00:00", "2021-03-29 00:00"
    )  # fmt: skip
    dates, splits = spans(weeks.delete(30), train="365D", test="90D")
    assert dates[0] == (
        "2020-01-13 00:00", "2020-12-28 00:00", "2021-01-11 00:00", "2021-04-05 00:00"
    )  # fmt: skip


def test_a_year_of_a_stock_beside_a_coin_and_of_hours_stamped_differently():
    coin = days("2022-01-01", "2023-06-30 23:00", "h")
    stock = sessions("2022-01-01", "2023-06-30")
    dates, splits = spans(coin.union(stock), train="365D", test="90D")
    assert dates[0] == (
        "2022-01-01 00:00", "2022-12-31 22:00", "2023-01-01 00:00", "2023-03-31 23:00"
    )  # fmt: skip
    assert splits[0].test[0] == 8760 + 7 * 260
    both = coin.union(coin + pd.Timedelta(minutes=30))  # half an hour apart, bars of an hour
    dates, splits = spans(both, train="365D", test="90D")
    assert dates[0][2:] == ("2023-01-01 00:00", "2023-03-31 23:30")
    assert splits[0].test == (2 * 8760, 2 * (8760 + 2160))


@examples(200)
@given(
    step=st.sampled_from(["1min", "5min", "7min", "1h", "4h", "1D", "7D"]),
    train=st.integers(30, 40_000),
    test=st.integers(30, 20_000),
    horizon=st.integers(1, 4),
    expanding=st.booleans(),
)
def test_bars_that_never_pause_are_cut_as_by_their_number(step, train, test, horizon, expanding):
    """The same splits, bit for bit, as by bars that are a length's share of a year of bars."""
    step = pd.Timedelta(step)
    index = pd.date_range("2020-01-01", periods=900, freq=step, tz="UTC")
    bars_per_year = 365 * (pd.Timedelta(days=1) / step)
    labels = labels_of(len(index), horizon, opens=index)
    texts = [f"{n * int(step.total_seconds()) // 60}s" for n in (train, test)]
    counts = [round(pd.Timedelta(t) / pd.Timedelta(days=365) * bars_per_year) for t in texts]

    def outcome(train, test):
        try:
            return list(WalkForward(train=train, test=test, expanding=expanding).split(labels))
        except InputError as error:
            return str(error)

    if min(counts) < 1:
        assert "is less than one bar of this market" in outcome(*texts)
    else:
        assert outcome(*texts) == outcome(*counts)


@st.composite
def irregular_indexes(draw):
    """Hours of which many are missing: sessions, holes of days, or bars lost at random."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    whole = days("2024-01-01", "2024-04-30 23:00", "h")
    kept = rng.random(len(whole)) < draw(st.sampled_from([0.2, 0.6, 0.95, 1.0]))
    if draw(st.booleans()):
        kept &= (whole.day_of_week < 5) & (whole.hour >= 14) & (whole.hour < 21)
    for _ in range(draw(st.integers(0, 3))):
        start = int(rng.integers(0, len(whole)))
        kept[start : start + int(rng.integers(1, 200))] = False
    kept[0] = True
    return whole[kept]


@examples(200)
@given(
    index=irregular_indexes(),
    train=st.integers(25 * 24, 60 * 24),
    test=st.integers(2 * 24, 30 * 24),
    horizon=st.integers(1, 4),
    embargo=st.integers(0, 2),
    expanding=st.booleans(),
)
def test_lengths_in_time_hold_in_every_market(index, train, test, horizon, embargo, expanding):
    walk = WalkForward(train=f"{train}h", test=f"{test}h", embargo=embargo, expanding=expanding)
    labels = labels_of(len(index), horizon, opens=index)
    splits = walk.split(labels)
    train, test = pd.Timedelta(hours=train), pd.Timedelta(hours=test)
    tests = [split.test for split in splits]
    assert tests[0][0] == int((index < index[0] + train).sum())
    assert tests[-1][1] == len(index)
    assert all(a[1] == b[0] for a, b in pairwise(tests))
    for split, (start, stop) in zip(splits, tests, strict=True):
        within = (index >= index[start]) & (index < index[start] + test)
        assert np.flatnonzero(within).tolist() == list(range(start, stop))
        window = (index < index[start]) & (index >= index[start] - train) | expanding
        assert split.train[0] == np.flatnonzero(window)[0]
        assert labels.end[slice(*split.train)].max() < start
        # what is lost before the test range is the purge and the embargo, and nothing else
        assert split.train[1] == start - horizon - embargo


@examples(60)
@given(
    seed=st.integers(0, 10_000),
    train=st.integers(120, 250),
    test=st.integers(5, 90),
    embargo=st.integers(0, 4),
    expanding=st.booleans(),
    horizon=st.integers(1, 6),
)
def test_no_label_of_a_range_reaches_a_later_one(seed, train, test, embargo, expanding, horizon):
    bars = random_panel(num_bars=420, num_symbols=2, seed=seed, missing=0.05)
    labels = barrier_labels(bars, horizon=horizon, halflife=1.0)
    walk = WalkForward(train=train, test=test, embargo=embargo, expanding=expanding)
    splits = walk.split(labels)
    known = labels.values != NO_LABEL
    for split in splits:
        ranges = [getattr(split, name) for name in RANGES]
        for (start, stop), (later, _) in pairwise(ranges):
            assert start < stop <= later - embargo
            assert labels.end[start:stop][known[start:stop]].max() < later
    tests = [split.test for split in splits]
    assert tests[0][0] == train
    assert tests[-1][1] == len(bars)
    assert all(a[1] == b[0] for a, b in pairwise(tests))


def test_scikit_learn_takes_the_splits_as_cv():
    labels = labels_of(500, 4, num_symbols=2)
    y = labels.values.ravel()
    X = np.random.default_rng(0).standard_normal((len(y), 3))
    X[:, 0] += y
    walk = WalkForward(train=200, test=100)
    cv = walk.as_sklearn(labels)
    scores = cross_val_score(LogisticRegression(), X, y, cv=cv)
    assert len(scores) == 3
    assert scores.min() > cross_val_score(DummyClassifier(), X, y, cv=cv).max()


def test_scikit_learn_rows_are_labelled_rows_of_the_flattened_panel():
    labels = labels_of(100, 3, num_symbols=2)
    splits = WalkForward(train=40, test=20).split(labels)
    (train, test), *_, (_, last) = splits.as_sklearn(labels)
    assert train.tolist() == list(range(2 * 37))
    assert test.tolist() == list(range(80, 120))
    assert last.tolist() == list(range(160, 2 * 97))  # the last three bars have no outcome


def test_a_test_range_without_labels_is_no_fold():
    labels = labels_of(82, 3)
    splits = WalkForward(train=40, test=20).split(labels)
    assert splits[-1].test == (80, 82)
    assert len(splits.as_sklearn(labels)) == len(splits) - 1


def test_splits_are_an_immutable_sequence():
    splits = WalkForward(train=40, test=20).split(labels_of(100, 3))
    assert isinstance(splits[1], Split)
    assert [s.number for s in splits[1:]] == [1, 2]
    assert isinstance(splits[1:], Splits)
    assert repr(splits) == "Splits(3 splits, tested on bars [40, 100))"
    with pytest.raises(TypeError):
        splits[0] = splits[1]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"train": 0}, r"splits.train must be at least 1 bar, got 0"),
        ({"test": "soon"}, r"splits.test must be a number of bars or a duration .*got 'soon'"),
        ({"train": "-3D"}, r"splits.train must be a number of bars or a duration .*got '-3D'"),
        ({"train": ""}, r"splits.train must be a number of bars or a duration .*got ''"),
        ({"folds": 1}, r"splits.folds must be at least 2, got 1"),
        ({"embargo": -1}, r"splits.embargo must be 0 or more bars, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        WalkForward(**settings_)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"train": 90, "test": 11}, r"need 90 \+ 11 bars, but there are only 100; shorten splits"),
        (
            {"train": 60, "test": 30, "embargo": 60},
            r"split 1: no labelled row is left in the train range of 60 bars \[0, 60\) .*raise",
        ),
        (
            {"train": 90, "test": "1min"},
            r"splits.test = '1min' is less than one bar of this market",
        ),
    ],
)
def test_impossible_splits_are_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        WalkForward(**settings_).split(labels_of(100, 6))


def test_what_is_missing_is_said_in_time_where_bars_pause():
    index = sessions("2022-01-03", "2022-12-30")
    labels = labels_of(len(index), 6, opens=index)
    match = r"need 365 days \+ 90 days, but there are only 1,820 bars over 361 days 07:00:00; short"
    with pytest.raises(InputError, match=match):
        WalkForward(train="365D", test="90D").split(labels)
    with pytest.raises(InputError, match=r"need 300 days \+ 500 bars, but there are only 1,820"):
        WalkForward(train="300D", test=500).split(labels)
    with pytest.raises(InputError, match=r"need 300 days \+ 90 days, but there are only"):
        WalkForward(train="300D", test="90D").split(labels)
    with pytest.raises(InputError, match=r"need 1,500 \+ 500 bars, but there are only 1,820;"):
        WalkForward(train=1500, test=500).split(labels)
    with pytest.raises(InputError, match=r"need 365 days \+ 90 days, but there are only 1 bars"):
        WalkForward().split(labels_of(1, 1))
    with pytest.raises(InputError, match=r"need 8,760 \+ 2,160 bars, but there are only 10,919;"):
        WalkForward().split(labels_of(10_919, 1))


def test_a_window_that_a_hole_has_swallowed_is_refused():
    index = hours(1000).delete(slice(300, 700))
    with pytest.raises(
        InputError, match=r"split 4: no labelled row .* range of 0 bars \[300, 300\)"
    ):
        WalkForward(train="10D", test="24h").split(labels_of(len(index), 2, opens=index))


def test_lengths_beyond_all_time_are_too_long():
    with pytest.raises(InputError, match=r"need 2,562,024 \+ 1 bars"):
        WalkForward(train="106751D", test=1).split(labels_of(100, 1))
    with pytest.raises(InputError, match=r"need 106751 days \+ 106751 days"):
        WalkForward(train="106751D", test="106751D").split(
            labels_of(99, 1, opens=hours(100).delete(50))
        )
