"""The ready experiments: scripts that run, and a rule that reads no future."""

import dataclasses
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import FewTradesWarning
from convnext_vbt.live.trained import open_trained, predict_now
from convnext_vbt.runs.config import load_config
from convnext_vbt.runs.run import run
from convnext_vbt.user_code import load_function

ROOT = Path(__file__).parent.parent


def fake_predictions(bars, rng):
    proba = rng.dirichlet([4, 4, 4], size=(len(bars), 1)).astype(np.float32)
    split = np.zeros((len(bars), 1), dtype=np.int16)
    whole = cv.Predictions.from_frames(
        prob_up=bars.frame("close") * 0 + proba[:, :, 2],
        prob_down=bars.frame("close") * 0 + proba[:, :, 0],
    )
    from convnext_vbt.predictions import Split

    half = len(bars) // 2
    return dataclasses.replace(
        whole,
        split=split,
        splits=(
            Split(
                number=0,
                train=(0, half),
                test=(half, len(bars)),
            ),
        ),
        quantiles=np.linspace(0.3, 0.6, 1001)[None],
    )


def test_the_worked_rule_trades_both_sides_and_reads_no_future():
    bars = cv.load_bars("simulated:seed=2,bars=2000")
    preds = fake_predictions(bars, np.random.default_rng(0))
    rule = load_function(f"{ROOT}/strategies/trend_rule.py:with_the_trend")
    signals = rule(preds, bars)
    assert signals.entries.any()
    assert signals.short_entries.any()
    t = 1200
    later = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    for values in later.values():
        values[t + 1 :] *= 3.0
    changed = rule(preds, dataclasses.replace(bars, **later))
    for name in ("entries", "exits", "short_entries", "short_exits", "size"):
        np.testing.assert_array_equal(
            getattr(changed, name)[: t + 1], getattr(signals, name)[: t + 1]
        )
    assert not np.array_equal(changed.entries, signals.entries)


def test_the_panel_is_three_symbols_of_which_one_is_delisted():
    config = load_config(ROOT / "strategies/panel.toml")
    bars = cv.load_bars(config.data.source)
    assert bars.symbols == ("SIM1/USDT", "SIM2/USDT", "SIM3/USDT")
    assert bars.present.sum(axis=0).tolist() == [17_520, 13_140, 17_520]
    assert config.trading.max_open_risk == 0.06


WINDOWS = ("model.input=window", "model.window=16")


@pytest.mark.parametrize(
    ("name", "needs", "more"),
    [
        ("own_lightgbm", "lightgbm", ()),
        ("own_lstm", "torch", WINDOWS),
        # asks for an older numba and pandas than what the checks run with
        pytest.param("own_minirocket", "aeon", WINDOWS, marks=pytest.mark.slow),
    ],
)
def test_models_of_ones_own_run_and_decide(name, needs, more, tmp_path, monkeypatch, caplog):
    pytest.importorskip(needs)
    monkeypatch.chdir(ROOT)
    config = load_config(
        "strategies/own_model.toml",
        [
            f"model.file=strategies/{name}.py:make", f"name={name}",
            "data.source=simulated:seed=7,bars=1500", "splits.train=800", "splits.test=350",
            "splits.folds=2", 'features.names=["return_1", "rsi_14", "hour_sin"]', *more,
        ],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        done = run(config, out=tmp_path, jobs=1)
    split = done.predictions.splits[-1]
    past = done.result.bars.rows(0, split.test[0] + 10)
    said = predict_now(open_trained(done.directory), split, past)
    np.testing.assert_allclose(said, done.predictions.proba[split.test[0] + 9], atol=1e-5)
    assert "fitted" not in caplog.text, "it repeats, and was kept"


def test_moving_averages_are_meta_labelled(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert load_config("strategies/meta_label.toml").model.prior == "simulated"
    config = load_config(
        "strategies/meta_label.toml",
        [
            "data.source=simulated:seed=1,bars=1500", "splits.train=800", "splits.test=350",
            "splits.folds=2", 'features.names=["return_1", "rsi_14", "hour_sin"]',
            "model.kind=logistic",
        ],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)
        done = run(config, out=tmp_path, jobs=1)
    close = done.result.bars.frame("close").iloc[:, 0]
    rising = (close.rolling(24).mean() > close.rolling(120).mean()).to_numpy()
    assert rising[done.result.signals.entries.any(axis=1)].all()
    assert not rising[done.result.signals.short_entries.any(axis=1)].any()
    assert "primary" in [row["model"] for row in done.metrics["baselines"]["models"]]


@pytest.mark.slow
@pytest.mark.parametrize("script", ["walk_forward.py", "sweep_thresholds.py"])
def test_the_scripts_run(script, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "strategies" / script, "--quick"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "q0.90" in done.stdout
