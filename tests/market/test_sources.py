from pathlib import Path

import numpy as np
import pytest
from arch.data import sp500

from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.market.sources import load_bars


def test_sp500_is_the_real_index_adjusted():
    bars = load_bars("sp500")
    table = sp500.load()
    assert bars.symbols == ("SP500",)
    assert (len(bars), bars.days_per_year, bars.bars_per_year) == (5031, 252, 252)
    assert str(bars.index[0]) == "1999-01-04 00:00:00+00:00"
    np.testing.assert_allclose(bars.close[:, 0], table["Adj Close"], rtol=1e-12)
    # The all-time high of that span, 2018-09-21: 2,940.91.
    assert bars.high.max() == pytest.approx(2940.91, abs=0.01)


def test_adjustment_scales_the_whole_bar(monkeypatch):
    table = sp500.load().iloc[:3].copy()
    table["Adj Close"] = table["Close"] * [0.5, 0.5, 1.0]
    monkeypatch.setattr(sp500, "load", lambda: table)
    bars = load_bars("sp500")
    for field in ("open", "high", "low", "close"):
        expected = table[field.capitalize()] * [0.5, 0.5, 1.0]
        np.testing.assert_allclose(getattr(bars, field)[:, 0], expected)


def test_simulated_takes_options():
    bars = load_bars("simulated:seed=7, edge=0,bars=300")
    assert bars.fingerprint() == simulated_bars(seed=7, edge=0, bars=300).fingerprint()
    assert load_bars("simulated").fingerprint() == simulated_bars().fingerprint()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("simulatd", r"unknown source 'simulatd', did you mean 'simulated'\?; there are a path"),
        ("simulatd:seed=1", r"did you mean 'simulated'\?"),
        ("sp50", r"did you mean 'sp500'\?"),
        ("cctx:binance:BTC/USDT:1h", r"did you mean 'ccxt'\?; there are a path to a .csv"),
        ("bitcoin", "unknown source 'bitcoin'; there are .*simulated.*sp500"),
        ("", "unknown source ''"),
        ("simulated:sed=1", r"no option 'sed', did you mean 'seed'\?; there are seed, edge, bars"),
        ("simulated:seed=1,seed=2", "seed is given twice"),
        ("simulated:seed=1.5", "seed must be a whole number, got '1.5'; write seed=1"),
        ("simulated:edge=big", "edge must be a number, got 'big'"),
        ("simulated:bars", "bars must be a whole number, got ''"),
        ("simulated:bars=1", r"bars must lie in \[2, 200,000\], got 1"),
    ],
)
def test_an_unknown_source_or_option_is_answered(source, message):
    with pytest.raises(ValueError, match=message):
        load_bars(source)


@pytest.mark.parametrize("as_kind", [str, Path])
def test_paths_are_read(tmp_path, as_kind):
    path = tmp_path / "odd.name:1.csv"
    bars = simulated_bars(bars=5)
    frame = bars.frame("open").set_axis(["open"], axis=1)
    for field in ("high", "low", "close", "volume"):
        frame[field] = getattr(bars, field)
    frame.to_csv(path, index_label="timestamp")
    assert load_bars(as_kind(path)).symbols == ("odd.name:1",)


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/prices.csv does not exist; check"):
        load_bars("~/prices.csv")


def test_a_named_source_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("simulated").mkdir()
    assert load_bars("simulated:bars=5").symbols == ("SIM/USDT",)
    with pytest.raises(ValueError, match="simulated is a directory; name a file"):
        load_bars("./simulated")
