import json
import math

import numpy as np
import pytest

from benchmarks.limits import INFERS, KNOWS, Market
from benchmarks.power import LIMITS, missing, read_records
from benchmarks.powertable import MOTIFS, checks, checks_table, share, summary, table
from benchmarks.seeing import LEFT_OUT, LOGISTIC, MODELS, PRIOR, figures, source_hash
from convnext_vbt.learning.labels import Labels
from tests.learning.markets import hours


def labels_of(values):
    values = np.array(values, dtype=np.int8)[:, None]
    return Labels(values=values, end=np.arange(len(values))[:, None], opens=hours(len(values)))


def test_figures_by_hand():
    labels = labels_of([0, 1, 2, 2, 2, 2, 0, 1, -1])
    proba = np.tile([0.2, 0.2, 0.6], (9, 1))
    proba[6] = 0.3, 0.1, 0.6
    found = figures(proba, labels, 4)
    told = np.log([0.6, 0.6, 0.3, 0.2])  # of UP, UP, DOWN, STAY
    known = np.log([0.5, 0.5, 0.25, 0.25])
    assert found["gain"] == pytest.approx(1e3 * (told - known).mean())
    up = np.log([0.75, 0.75, 1 / 3])
    assert found["direction"] == pytest.approx(1e3 * (up.mean() + math.log(2)))
    assert found["auc"] == 1.0


def test_the_slope_says_by_how_much_claims_of_float32_are_overstated():
    rng = np.random.default_rng(0)
    logit = rng.standard_normal(20_000)
    up = rng.random(20_000) < 1 / (1 + np.exp(-0.5 * logit))
    chance = 1 / (1 + np.exp(-logit))
    proba = np.column_stack([1 - chance, np.zeros(20_000), chance]).astype(np.float32)
    found = figures(proba, labels_of(np.where(up, 2, 0)), 1_000)
    assert found["slope"] == pytest.approx(0.5, abs=0.05)
    assert found["direction"] < 30
    silent = figures(np.full((20_000, 3), 1 / 3), labels_of(np.where(up, 2, 0)), 1_000)
    assert math.isnan(silent["slope"])
    assert silent["direction"] == pytest.approx(0, abs=1e-9)


def test_figures_refuse_a_bar_without_probabilities():
    proba = np.full((6, 3), 1 / 3)
    proba[5] = np.nan
    with pytest.raises(ValueError, match="1 labelled bars lack probabilities"):
        figures(proba, labels_of([0, 1, 2, 0, 2, 0]), 3)


def record(model, seed, direction, market="regimes 0.5"):
    zeros = {"gain": 0.0, "auc": 0.5, "slope": None}
    return {"market": market, "model": model, "seed": seed, "direction": direction, **zeros}


def test_a_share_is_that_of_the_means_with_the_error_of_the_pairs():
    assert share(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == (0.5, 0.0)
    ratio, error = share(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    assert (ratio, error) == (1.0, pytest.approx(0.5))
    assert np.isnan(share(np.array([1.0]), np.array([-1.0]))).all()


def test_the_summary_pairs_by_seed():
    records = [record(KNOWS, s, 10.0 * s) for s in (1, 2, 3)]
    records += [record(LOGISTIC, s, 4.0 * s) for s in (1, 2)] + [record(PRIOR, 2, 9.0)]
    rows = summary(records)["regimes 0.5"]
    assert list(rows) == [KNOWS, LOGISTIC, PRIOR]
    assert rows[KNOWS]["direction"][0] == 20.0
    assert rows[LOGISTIC]["of_knows"][0] == pytest.approx(0.4)  # not 6 of 20
    assert rows[PRIOR]["minus_logistic"][0] == 1.0
    assert math.isnan(rows[PRIOR]["of_infers"][0])
    text = table(summary(records))
    assert "regimes 0.5" in text
    assert INFERS not in text


@pytest.mark.parametrize(
    ("network", "left_out", "met"),
    [(9.0, 6.0, [True] * 4), (7.0, 3.0, [False, True, False, True]), (None, None, [None] * 4)],
)
def test_targets_are_met_or_not_or_unknown(network, left_out, met):
    records = []
    for seed, luck in enumerate((-0.1, 0.0, 0.1)):
        records += [record(KNOWS, seed, 10.0), record(LOGISTIC, seed, 4.0)]
        if network is not None:
            records.append(record(PRIOR, seed, network + luck))
            records.append(record(LEFT_OUT, seed, left_out + luck))
    found = checks(records)
    assert [check["met"] for check in found] == met
    words = {True: "  met", False: "NOT MET", None: "not run"}
    lines = checks_table(found).splitlines()[1:]
    assert all(line.endswith(words[m]) for line, m in zip(lines, met, strict=True))


def test_motifs_are_judged_by_what_is_left_over_logistic():
    records = []
    for seed in range(3):
        records += [record(KNOWS, seed, 60.0, MOTIFS), record(LOGISTIC, seed, -10.0, MOTIFS)]
        records.append(record(PRIOR, seed, 10.0, MOTIFS))
    first = checks(records)[0]
    assert first["reached"][0] == pytest.approx(20 / 70)
    assert first["met"] is False


def test_a_cut_run_goes_on_where_it_stopped(tmp_path, capsys):
    path, market = tmp_path / "lines.jsonl", Market(family="regimes", edge=0.5)
    done = record(LOGISTIC, 1, 4.0) | {"code": source_hash(LOGISTIC, "regimes")}
    path.write_text(json.dumps(done) + "\n" + json.dumps(done | {"code": "other"}) + '\n{"market')
    records = read_records(path)
    assert records == [done]
    assert "2 result(s) of other code or cut short do not count" in capsys.readouterr().out
    tasks = list(missing([market], [1, 2], [LOGISTIC, "boosting"], records))
    assert [(task.seed, task.models) for task in tasks] == [
        (1, ("boosting",)),
        (2, (LOGISTIC, "boosting")),
    ]
    many = missing([market], range(1, 7), [LOGISTIC, "boosting"], [], costly=["boosting"])
    assert [len(task.models) for task in many] == [2, 2, 2, 2, 1, 1]
    limited = [record(KNOWS, 1, 10.0), *(record(model, 1, 1.0) for model in MODELS)]
    assert not list(missing([market], [1], [LIMITS, *MODELS], limited))
