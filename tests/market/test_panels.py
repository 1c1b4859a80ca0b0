"""Panels of several sources, and funding rates beside the bars."""

import pickle

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.errors import ConfigError
from convnext_vbt.evidence.audit.garbage import garbage_after
from convnext_vbt.evidence.nulls.bootstrapped_bars import bootstrapped_bars
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.market.sources import load_bars
from convnext_vbt.runs.config import parse_config
from convnext_vbt.trading.brackets import fixed_brackets
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.signals import Signals
from convnext_vbt.trading.simulation import simulate_signals


def frame(bars: Bars, start: int, stop: int) -> pd.DataFrame:
    values = {field: getattr(bars, field)[start:stop, 0] for field in FIELDS}
    return pd.DataFrame(values, index=bars.index[start:stop])


def test_a_panel_holds_all_times_and_nan_where_a_symbol_has_no_bar():
    early, late = simulated_bars(bars=60, seed=1), simulated_bars(bars=60, seed=2)
    first = Bars.from_frame(frame(early, 0, 40), symbol="A")
    second = Bars.from_frame(frame(late, 20, 60).drop(late.index[30]), symbol="B")
    panel = Bars.join([first, second])
    assert panel.symbols == ("A", "B")
    assert panel.index.equals(early.index)
    assert panel.present[:, 0].tolist() == [True] * 40 + [False] * 20
    assert panel.present[:, 1].tolist() == [False] * 20 + [True] * 10 + [False] + [True] * 29
    assert np.array_equal(panel.close[:40, 0], first.close[:, 0])
    assert np.array_equal(panel.volume[31:, 1], late.volume[31:, 0])
    other = Bars.from_frames(
        {"A": frame(early, 0, 40), "B": frame(late, 20, 60).drop(late.index[30])}
    )
    assert panel.fingerprint() == other.fingerprint()
    assert panel.funding is None
    assert panel.days_per_year == 365


def test_two_stamps_an_hour_are_hours_and_each_row_knows_the_bar_before():
    whole = frame(simulated_bars(bars=60), 0, 60)
    late = whole.set_axis(whole.index + pd.Timedelta(minutes=30), axis=0).drop(
        whole.index[2] + pd.Timedelta(minutes=30)
    )
    panel = Bars.from_frames({"A": whole, "B": late})
    assert panel.step == pd.Timedelta(hours=1)
    assert panel.bars_per_year == 8760
    assert panel.previous[:8].tolist() == [
        [-1, -1], [0, -1], [0, 1], [2, 1], [2, 3], [4, 3], [5, 3], [5, 6],
    ]  # fmt: skip
    assert panel.closes.tolist() == [False, False]


def test_each_symbol_tells_whether_it_has_a_volume_wherever_it_starts():
    frames = {f"S{n}": frame(simulated_bars(bars=60, seed=n), 10 * n, 60) for n in range(3)}
    frames["S1"]["volume"] = np.nan
    panel = Bars.from_frames(frames)
    assert panel.has_volume.tolist() == [True, False, True]
    assert panel.rows(0, 15).has_volume.tolist() == [True, False, True]  # S2 is not there yet
    assert panel.rows(0, 5).has_volume.all()


def test_joining_one_gives_it_back_and_nothing_is_refused():
    bars = simulated_bars(bars=30)
    assert Bars.join([bars]).fingerprint() == bars.fingerprint()
    with pytest.raises(ValueError, match="nothing to join"):
        Bars.join([])


def test_bars_of_another_size_or_the_same_symbol_cannot_join():
    bars = simulated_bars(bars=96)
    daily = Bars.from_frame(frame(bars, 0, 96).iloc[::24], symbol="D")
    with pytest.raises(ValueError, match=r"D has bars of 1d, SIM/USDT of 1h; join bars of one"):
        Bars.join([bars, daily])
    with pytest.raises(ValueError, match="symbol SIM/USDT comes twice; give each"):
        Bars.join([bars, bars])


def test_a_list_of_sources_is_a_panel(tmp_path):
    path = tmp_path / "late.csv"
    frame(simulated_bars(bars=60, seed=3), 30, 60).to_csv(path, index_label="timestamp")
    panel = load_bars(["simulated:bars=40", path, "simulated:bars=50,seed=9,symbol=SIM9/USDT"])
    assert panel.symbols == ("SIM/USDT", "late", "SIM9/USDT")
    assert len(panel) == 60
    assert panel.present.sum(axis=0).tolist() == [40, 30, 50]


def test_a_strategy_names_one_source_or_several():
    several = parse_config({"data": {"source": ["a.csv", "b.csv"]}})
    assert several.data.source == ("a.csv", "b.csv")
    assert 'source = [\n    "a.csv",\n    "b.csv",\n]' in several.to_toml()
    with pytest.raises(ConfigError, match=r"\[data\] source = 3"):
        parse_config({"data": {"source": 3}})


def test_funding_is_read_joined_cut_and_part_of_the_data():
    table = frame(simulated_bars(bars=40), 0, 40)
    rates = np.where(np.arange(40) % 8 == 0, 1e-4, np.nan)
    with_rates = Bars.from_frame(table.assign(Funding_Rate=rates), symbol="P")
    plain = Bars.from_frame(table, symbol="P")
    assert with_rates.funding.shape == (40, 1)
    assert not with_rates.funding.flags.writeable
    assert with_rates.fingerprint() != plain.fingerprint()
    assert with_rates.fingerprint(5) != with_rates.fingerprint(9)
    assert np.array_equal(with_rates.rows(4, 9).funding, rates[4:9, None], equal_nan=True)
    assert plain.rows(4, 9).funding is None
    copied = pickle.loads(pickle.dumps(with_rates))  # noqa: S301
    assert np.array_equal(copied.funding, with_rates.funding, equal_nan=True)
    spot = Bars.from_frame(table, symbol="S")
    panel = Bars.join([with_rates, spot])
    assert np.array_equal(panel.funding[:, 0], rates, equal_nan=True)
    assert np.isnan(panel.funding[:, 1]).all()
    both = Bars.from_frames({"P": table.assign(funding=rates), "S": table})
    assert both.fingerprint() == panel.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"funding": 0.75},
            r"P, row 0 .*funding: a rate per bar must lie within 0.1 of 0, got 0.75",
        ),
        ({"funding": "high"}, "column funding is not numeric"),
        ({"funding": 0.0, "funding_rate": 0.0}, "column funding_rate is there twice"),
    ],
)
def test_impossible_funding_is_refused(change, message):
    table = frame(simulated_bars(bars=40), 0, 40).assign(**change)
    with pytest.raises(ValueError, match=message):
        Bars.from_frame(table, symbol="P")
    bars = simulated_bars(bars=40)
    with pytest.raises(ValueError, match=r"funding must have shape \(40, 1\)"):
        Bars(
            index=bars.index, symbols=bars.symbols, step=bars.step, funding=np.zeros(40),
            **{field: getattr(bars, field) for field in FIELDS},
        )  # fmt: skip


def test_a_rate_where_the_symbol_has_no_bar_is_due_at_its_next_one():
    table = frame(simulated_bars(bars=40), 0, 40)
    rates = np.full(40, np.nan)
    rates[[3, 5, 6, 8, 12, 38, 39]] = 1e-4 * np.array([1, 2, 4, 8, 16, 32, 64])
    table = table.assign(funding=rates)
    table.loc[table.index[[0, 3, 5, 6, 7, 8, 12, 39]], list(FIELDS)] = np.nan
    due = np.full(40, np.nan)
    due[[4, 9, 13, 38]] = 1e-4 * np.array([1, 2 + 4 + 8, 16, 32])
    alone = Bars.from_frame(table, symbol="P")
    np.testing.assert_allclose(alone.funding[:, 0], due, rtol=1e-12)
    again = pickle.loads(pickle.dumps(alone))  # noqa: S301
    assert Bars.join([again]).fingerprint() == alone.fingerprint()
    spot = frame(simulated_bars(bars=40), 0, 40)
    panels = Bars.from_frames({"P": table, "S": spot}), Bars.join([alone, Bars.from_frame(spot)])
    for panel in panels:
        np.testing.assert_allclose(panel.funding[:, 0], due, rtol=1e-12)
        assert np.isnan(panel.funding[:, 1]).all()


def test_a_rate_that_falls_into_a_hole_is_paid():
    table = frame(simulated_bars(bars=40), 0, 40).assign(funding=np.nan)
    table.loc[table.index[8], "funding"] = 0.01
    whole = Bars.from_frame(table, symbol="P")
    table.loc[table.index[8], list(FIELDS)] = np.nan
    paid = []
    for bars in (whole, Bars.from_frame(table, symbol="P")):
        entries = pd.DataFrame(np.arange(40) == 2, index=bars.index, columns=["P"])
        signals = Signals.from_frames(entries=entries)
        done = simulate_signals(
            bars, signals, fixed_brackets(bars), config=SimulationConfig(), size_type="notional"
        )
        paid.append(done.funding[:, 0])
    assert paid[0].argmax() == 8
    assert paid[1].argmax() == 9
    assert paid[1].sum() == pytest.approx(paid[0].sum(), rel=0.05)


def test_made_up_futures_and_bootstraps_carry_funding_of_their_own():
    rates = np.linspace(-0.01, 0.01, 200)
    bars = Bars.from_frame(frame(simulated_bars(bars=200), 0, 200).assign(funding=rates))
    other = garbage_after(bars, 99)
    assert np.array_equal(other.funding[:100], bars.funding[:100])
    assert not np.array_equal(other.funding[100:], bars.funding[100:])
    drawn = bootstrapped_bars(bars, 6.0, np.random.default_rng(0))
    move = np.log(drawn.close / drawn.open)[:, 0]
    row = np.array([np.abs(np.log(bars.close / bars.open)[:, 0] - m).argmin() for m in move])
    assert np.array_equal(drawn.funding[:, 0], rates[row])
