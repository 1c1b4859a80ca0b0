"""Signals as arrays: what is taken, what is refused."""

import pandas as pd
import pytest

from convnext_vbt.trading.signals import Signals

from .markets import hours

NAN = float("nan")


def test_from_frames_takes_frames_series_and_a_scalar_size():
    index = hours(3)
    entries = pd.DataFrame({"A": [True, False, False], "B": [False, True, False]}, index)
    signals = Signals.from_frames(entries=entries, exits=~entries, size=0.5)
    assert signals.columns.names == ["symbol"]
    assert list(signals.symbols) == ["A", "B"]
    assert not signals.short_entries.any()
    assert (signals.size == 0.5).all()
    assert signals.frame("exits").equals((~entries).set_axis(signals.columns, axis=1))
    one = Signals.from_frames(
        entries=entries["A"].tz_convert(None), size=entries["A"].astype(float).tz_convert(None)
    )
    assert list(one.symbols) == ["A"]
    assert one.size[:, 0].tolist() == [1.0, 0.0, 0.0]
    assert str(one.index.tz) == "UTC"
    unnamed = Signals.from_frames(entries=pd.Series([True, False], hours(2)))
    assert list(unnamed.symbols) == ["asset"]


def test_from_frames_keeps_a_multiindex():
    columns = pd.MultiIndex.from_tuples([(20, "A"), (50, "A")], names=["window", None])
    signals = Signals.from_frames(entries=pd.DataFrame(True, hours(2), columns))
    assert signals.columns.names == ["window", "symbol"]
    assert "2 columns by window, symbol" in repr(signals)


def test_arrays_are_read_only_copies():
    frame = pd.DataFrame({"A": [True, False]}, hours(2))
    signals = Signals.from_frames(entries=frame)
    frame.iloc[0] = False
    assert signals.entries[0, 0]
    with pytest.raises(ValueError, match="read-only"):
        signals.entries[0] = False


def test_bad_signals_are_refused():
    entries = pd.DataFrame({"A": [True, False]}, hours(2))
    with pytest.raises(ValueError, match=r"2024-01-01 01:00.*size must lie in \[0, 1\], got 2"):
        Signals.from_frames(entries=entries, size=pd.DataFrame({"A": [1.0, 2.0]}, hours(2)))
    with pytest.raises(ValueError, match=r"size must lie in \[0, 1\], got nan"):
        Signals.from_frames(entries=entries, size=NAN)
    with pytest.raises(ValueError, match="entries must be bool, got object"):
        Signals.from_frames(entries=entries.astype(object))
    with pytest.raises(ValueError, match=r"exits .* must share index and columns"):
        Signals.from_frames(entries=entries, exits=entries.iloc[:1])
    with pytest.raises(TypeError, match="signals must be pandas frames or series, got ndarray"):
        Signals.from_frames(entries=entries.to_numpy())
    with pytest.raises(ValueError, match="appears more than once"):
        Signals.from_frames(entries=pd.concat([entries, entries], axis=1))
    with pytest.raises(ValueError, match="the last one 'symbol'"):
        Signals.from_frames(
            entries=entries.set_axis(
                pd.MultiIndex.from_tuples([(1, "A")], names=["x", "y"]), axis=1
            )
        )
    good = Signals.from_frames(entries=entries)
    with pytest.raises(ValueError, match=r"exits must have shape \(2, 1\)"):
        Signals(
            index=good.index, columns=good.columns, entries=good.entries, exits=good.exits[:1],
            short_entries=good.entries, short_exits=good.exits, size=good.size,
        )  # fmt: skip
