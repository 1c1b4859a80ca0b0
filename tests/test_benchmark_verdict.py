import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from benchmarks import judging
from benchmarks.judging import Task, code_hash, market, random_signs, varied, with_drift
from benchmarks.oracle import EDGES, Truth, hidden_regime, mean_sharpe
from benchmarks.verdict import keep, missing, read_records, result, shares, table
from convnext_vbt.market.bars import FIELDS
from convnext_vbt.market.simulated import MEAN_REGIME, simulated_bars
from convnext_vbt.market.sources import load_bars
from convnext_vbt.runs.config import Config


# Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 5 (Clopper-Pearson).
@pytest.mark.parametrize(
    ("passed", "markets", "low", "high"),
    [
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_bounds_are_the_published_ones(passed, markets, low, high):
    assert shares(passed, markets)[1:] == pytest.approx((low, high), abs=5e-5)


def test_bounds_are_quantiles_of_beta():
    share, low, high = shares(3, 200)
    assert share == 0.015
    assert low == pytest.approx(beta.ppf(0.025, 3, 198))
    assert high == pytest.approx(beta.ppf(0.975, 4, 197))
    assert shares(20, 20)[2] == 1
    assert np.isnan(shares(0, 0)).all()


def record(cell, word, **figures):
    base = {"cell": cell, "seed": 1, "code": code_hash(), "word": word, "unmet": [], "sharpe": None}
    return base | {"dsr": 0.5, "sides_p": 0.5, "trades": 120} | figures


def test_the_json_counts_passes_by_cell_and_says_null_where_nothing_ran():
    records = [record("edge 0", "FAIL") for _ in range(19)] + [record("edge 0", "PASS")]
    records += [record("edge 0.5", "PASS"), record("edge 0.5", "INCONCLUSIVE")]
    records += [record("oracle 2", "PASS"), record("drift", "INCONCLUSIVE")]
    value = json.loads(json.dumps(result(records), allow_nan=False))
    assert value["false_pass"] == 0.05
    assert value["false_pass_high"] == pytest.approx(beta.ppf(0.975, 2, 19))
    assert value["power"] == {"0.25": None, "0.5": 0.5, "1": None}
    assert value["power_by_oracle_sharpe"] == {"1": None, "1.5": None, "2": 1.0, "3": None}
    assert value["power_low"] == {
        "edge 0.5": pytest.approx(beta.ppf(0.025, 1, 2)),
        "oracle 2": pytest.approx(0.025),
    }
    assert value["other_false_pass"] == {"drift": 0.0}
    assert value["other_false_pass_high"] == {"drift": pytest.approx(0.975)}
    assert value["markets"] == 20
    assert result([])["false_pass"] is None


def test_the_table_names_what_blocked_and_what_blocked_alone():
    records = [
        record("edge 1", "INCONCLUSIVE", unmet=["DSR"], sharpe=1.0),
        record("edge 1", "INCONCLUSIVE", unmet=["DSR", "splits"], sharpe=3.0),
        record("edge 1", "PASS", sharpe=5.0),
    ]
    text = table(records)
    assert "DSR 2 (1), splits 1 (0)" in text
    assert "Sharpe 1.4 / 3 / 4.6" in text
    assert text.splitlines()[1].split()[:6] == ["edge", "1", "3", "1", "2", "0"]


def test_results_are_taken_up_again_but_not_those_of_other_code(tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    assert read_records(path) == []
    mine, other = record("edge 0", "FAIL"), record("edge 0", "PASS", code="other")
    keep(path, [mine, other])
    path.write_text(path.read_text() + '{"cell": "edge 0", "wo')
    keep(path, [mine])
    assert read_records(path) == [mine, mine]
    assert "2 result(s) of other code or cut short" in capsys.readouterr().out


def test_what_is_missing_comes_seed_by_seed_with_every_second_one_of_other_cells():
    records = [record("edge 0", "FAIL", seed=11)]
    tasks = missing(["edge 0", "drift"], range(10, 13), records, "sp500")
    assert [(task.cell, task.seed) for task in tasks] == [
        ("edge 0", 10), ("drift", 10), ("edge 0", 12), ("drift", 12),
    ]  # fmt: skip


def test_the_hidden_regime_is_seen_and_lasts_as_long_as_the_market_says():
    without = simulated_bars(seed=501, edge=0.0)
    regime = hidden_regime(without, simulated_bars(seed=501, edge=1.0))
    assert set(regime) == {-1, 0, 1}
    changes = np.count_nonzero(np.diff(regime))
    assert len(regime) / changes == pytest.approx(MEAN_REGIME, rel=0.25)
    assert (regime == hidden_regime(without, simulated_bars(seed=501, edge=0.5))).mean() > 0.99
    assert not hidden_regime(without, without).any()


def test_the_recorded_edges_give_the_oracle_its_sharpe_ratio():
    truths = [Truth.of(seed) for seed in range(501, 511)]
    for target, edge in EDGES.items():
        # one market's ratio has a standard deviation of 0.67, the mean of ten 0.21
        assert mean_sharpe(truths, edge) == pytest.approx(target, abs=0.65)


def test_the_oracle_trades_at_the_next_open_and_pays_for_every_change():
    opens = 100 * np.exp(np.random.default_rng(3).normal(0, 0.01, 24 * 5).cumsum())
    regime = np.zeros(len(opens), dtype=np.int64)
    regime[30:60], regime[60:100] = 1, -1
    earned = np.zeros(len(opens))
    for t in range(31, 61):  # known at the close of 30, held from the open of 31 to that of 61
        earned[t] = opens[t + 1] / opens[t] - 1
    for t in range(61, 101):
        earned[t] = 1 - opens[t + 1] / opens[t]
    for t, turned in ((31, 1), (61, 2), (101, 1)):
        earned[t] -= turned * 0.0007
    daily = np.array([earned[d : d + 24].sum() for d in range(0, 96, 24)])
    truth = Truth(regime=regime, log_open=np.log(opens) - 0.5, drift=np.full(len(opens), 0.5))
    assert truth.net_sharpe(1.0) == pytest.approx(daily.mean() / daily.std(ddof=1) * 365**0.5)


def test_drift_compounds_to_the_factor_in_a_year():
    bars = simulated_bars(seed=501, edge=0.0, bars=8_761)
    grown = with_drift(bars, 1.5)
    assert grown.close[-1] / bars.close[-1] == pytest.approx(1.5)
    assert (grown.open[0], grown.volume.tobytes()) == (bars.open[0], bars.volume.tobytes())


def test_random_signs_keep_how_far_prices_went():
    bars = load_bars("sp500")
    drawn = random_signs(bars, 7)
    for one in (bars, drawn):
        assert len(one) == 5_031
    body, range_ = (np.log(bars.close / bars.open), np.log(bars.high / bars.low))
    np.testing.assert_allclose(np.abs(np.log(drawn.close / drawn.open)), np.abs(body), atol=1e-12)
    np.testing.assert_allclose(np.log(drawn.high / drawn.low), range_, atol=1e-12)
    same = np.sign(np.log(drawn.close / drawn.open)) == np.sign(body)
    assert 0.45 < same.mean() < 0.55
    np.testing.assert_array_equal(drawn.volume, bars.volume)
    assert random_signs(bars, 7).fingerprint() == drawn.fingerprint()
    assert random_signs(bars, 8).fingerprint() != drawn.fingerprint()


def test_random_signs_make_opens_a_martingale():
    bars = load_bars("sp500").rows(0, 40)
    # Bodies ten times as large, and gaps of a third: small ones would hide a wrong drift.
    gaps = np.exp(np.random.default_rng(5).normal(0, 0.3, (40, 1)))
    prices = {
        name: 1_000 * gaps * (getattr(bars, name) / bars.open) ** 10 for name in judging.PRICES
    }
    wild = replace(bars, **prices)
    draws = [random_signs(wild, seed) for seed in range(2_000)]
    for t in (1, 5):
        growth = np.array([drawn.open[t, 0] / drawn.open[0, 0] for drawn in draws])
        assert growth.mean() == pytest.approx(1.0, abs=4 * growth.std() / np.sqrt(len(growth)))


def test_random_signs_take_one_symbol():
    bars = simulated_bars(seed=1, bars=50)
    columns = {name: np.repeat(getattr(bars, name), 2, axis=1) for name in FIELDS}
    twice = replace(bars, symbols=("A", "B"), **columns)
    with pytest.raises(ValueError, match=r"give bars of one symbol, got 2: \('A', 'B'\)"):
        random_signs(twice, 0)


def test_markets_are_what_their_cells_say():
    config, bars = market(Task(cell="oracle 2", seed=10_000, source="sp500"))
    assert config.seed == 10_000
    assert bars.fingerprint() == simulated_bars(seed=10_000, edge=EDGES[2.0]).fingerprint()
    _, drifting = market(Task(cell="drift", seed=10_000, source="sp500"))
    flat = simulated_bars(seed=10_000, edge=0.0)
    assert drifting.close[-1] / flat.close[-1] == pytest.approx(1.5**2, rel=1e-3)
    config, bars = market(Task(cell="signs sp500", seed=10_000, source="sp500"))
    assert (config.name, config.seed, len(bars)) == ("sp500_daily", 10_000, 5_031)


def test_the_twenty_strategies_are_twenty():
    configs = {varied(Config(), variant).sha256 for variant in judging.VARIANTS}
    assert len(configs) == len(judging.VARIANTS) == 20
