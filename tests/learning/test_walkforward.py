import contextlib
import dataclasses
import json
import logging
import os
import shutil
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from convnext_vbt.errors import SplitError
from convnext_vbt.learning import watching, workers
from convnext_vbt.learning.features import Features, compute_features
from convnext_vbt.learning.labels import Labels, labels_for
from convnext_vbt.learning.settings import ModelConfig, TrainingConfig
from convnext_vbt.learning.splits import WalkForward
from convnext_vbt.learning.walkforward import fit_alone, forecast, walk_forward
from convnext_vbt.learning.watching import steps_in
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.predictions import Predictions, Target

TARGET = Target(horizon=6, halflife=5.0)
MODEL = ModelConfig(prior="none", depths=(1, 1), dims=(4, 4))
TRAINING = TrainingConfig(steps=2, segments=2, segment_bars=64, eval_every=1)
WALK = WalkForward(train=500, test=120, folds=2)
NAMES = ("candle_body", "candle_upper_wick", "hour_sin")


@pytest.fixture(scope="module")
def bars():
    return simulated_bars(seed=5, bars=820)


def inputs(bars):
    features = compute_features(bars, names=NAMES)
    labels = labels_for(bars, TARGET)
    return features, labels, WALK.split(labels)


def predict(bars, *, stages=None, training=TRAINING, **options):
    seen = []
    features, labels, splits = stages or inputs(bars)
    preds = walk_forward(
        bars,
        features,
        labels,
        splits,
        model=MODEL,
        training=training,
        target=TARGET,
        **{"jobs": 1, "seed": 3, "progress": seen.append, **options},
    )
    return preds, [event.cached for event in seen]


@pytest.fixture(scope="module")
def reference(bars):
    return predict(bars)[0]


@pytest.fixture(scope="module")
def finished(bars, tmp_path_factory):
    """The splits of the reference, as they are kept."""
    folder = tmp_path_factory.mktemp("finished")
    assert predict(bars, directory=folder)[1] == [False] * 3
    return folder


@pytest.fixture
def kept(finished, tmp_path):
    """The same, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "splits"))


def assert_same(left, right):
    np.testing.assert_array_equal(left.proba, right.proba)
    np.testing.assert_array_equal(left.split, right.split)
    np.testing.assert_array_equal(left.quantiles, right.quantiles)
    np.testing.assert_array_equal(left.nonconformity, right.nonconformity)
    assert left.fits == right.fits
    assert len(left.members) == len(right.members)
    for pair in zip(left.members, right.members, strict=True):
        assert_same(*pair)


def test_every_test_bar_and_no_other_has_a_prediction(bars, reference):
    splits = inputs(bars)[2]
    expected = np.full(len(bars), -1)
    for split in splits:
        expected[slice(*split.test)] = split.number
    np.testing.assert_array_equal(reference.split[:, 0], expected)
    assert len(splits) == 3
    assert reference.splits == tuple(splits)
    assert [fit.number for fit in reference.fits] == [0, 1, 2]
    assert reference.target == TARGET


@pytest.mark.slow
def test_more_splits_than_joblib_takes_at_a_time_all_come_back(bars, caplog):
    features, labels, _ = inputs(bars)
    splits = WalkForward(train=500, test=30).split(labels)
    assert len(splits) > 8
    with caplog.at_level(logging.WARNING, logger="convnext_vbt"):
        preds, _ = predict(bars, stages=(features, labels, splits), jobs=2)
    assert [fit.number for fit in preds.fits] == list(range(len(splits)))
    assert not caplog.text  # no worker is taken for dead


@pytest.mark.slow
def test_two_processes_give_what_one_gives(bars, reference, tmp_path, monkeypatch):
    assert_same(predict(bars, jobs=2, watch=tmp_path)[0], reference)
    assert [step.number for step in steps_in(tmp_path)] == [0, 1, 2]
    monkeypatch.chdir(tmp_path)  # the processes live on, in the folder that they were started in
    predict(bars, jobs=2, directory=Path("kept"))
    assert len(list((tmp_path / "kept").glob("*.json"))) == 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched(Features):
    """Features that note, once `folder` is there, how many threads they are read with."""

    folder: Path

    def __getattribute__(self, name):
        if name == "values" and self.folder.exists():
            pools = [pool["num_threads"] for pool in threadpool_info()]
            counts = torch.get_num_threads(), max(pools), numba.get_num_threads()
            with (self.folder / str(os.getpid())).open("a") as file:
                file.write(json.dumps(counts) + "\n")
        return Features.__getattribute__(self, name)


def threads_of_a_run(bars, folder, *, jobs):
    """Counts of torch, of BLAS and OpenMP, and of numba, in each process that read the features."""
    features, labels, splits = inputs(bars)
    parts = {name: getattr(features, name) for name in ("names", "values", "warmup")}
    watched = Watched(**parts, folder=folder)
    folder.mkdir()
    predict(bars, stages=(watched, labels, splits), jobs=jobs)
    return {
        int(path.name): {tuple(json.loads(line)) for line in path.read_text().splitlines()}
        for path in folder.iterdir()
    }


def test_a_split_in_this_process_is_held_to_one_thread(bars, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        counts = threads_of_a_run(bars, tmp_path / "threads", jobs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert {count[:2] for count in counts[os.getpid()]} == {(1, 1)}  # numba's have no part in it


@pytest.mark.slow
def test_workers_are_held_to_one_thread_each(bars, tmp_path, monkeypatch):
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "3")
    counts = threads_of_a_run(bars, tmp_path / "threads", jobs=2)
    counts.pop(os.getpid(), None)  # sent them off
    assert counts
    assert set().union(*counts.values()) == {(1, 1, 1)}


def loky_workers():
    """Process ids of joblib's workers of this process."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            mine = f"PPid:\t{os.getpid()}\n" in status.read_text()
            if mine and b"popen_loky" in status.with_name("cmdline").read_bytes():
                yield int(status.parent.name)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_changes_no_bit(bars, tmp_path, caplog):
    long = dataclasses.replace(TRAINING, steps=150, patience=150)

    def kill():
        while not watching.steps_in(tmp_path):  # a split is in training
            time.sleep(0.002)
        os.kill(next(loky_workers()), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with caplog.at_level(logging.WARNING, logger="convnext_vbt"):
        preds, _ = predict(bars, training=long, jobs=2, watch=tmp_path)
    thread.join()
    assert "a worker died" in caplog.text
    assert "its splits are computed again, 1 at a time" in caplog.text
    assert_same(preds, predict(bars, training=long)[0])


def test_splits_trained_one_by_one_forecast_the_same(bars, reference):
    features, labels, splits = inputs(bars)
    fits = [
        fit_alone(features, labels, split, model=MODEL, training=TRAINING, seed=3)
        for split in splits
    ]
    preds = forecast(bars, features, labels, splits, fits, kind=MODEL.kind, target=TARGET)
    assert_same(preds, reference)


def test_another_seed_gives_other_predictions(bars, reference):
    assert not np.array_equal(predict(bars, seed=4)[0].proba, reference.proba, equal_nan=True)


def test_what_is_finished_is_not_done_again(bars, reference, kept):
    (kept / "001.json").unlink()  # as if killed before the split's last file was written
    for expected in ([True, False, True], [True] * 3):
        preds, cached = predict(bars, directory=kept)
        assert cached == expected
        assert_same(preds, reference)


def broken_pool(**options):
    raise BrokenProcessPool


def test_no_worker_is_started_for_what_is_finished(bars, reference, kept, tmp_path, monkeypatch):
    monkeypatch.setattr(workers.joblib, "Parallel", broken_pool)
    for folder, siblings in ((kept, ()), (tmp_path / "new", (kept,))):
        preds, cached = predict(bars, directory=folder, siblings=siblings, jobs=2)
        assert cached == [True] * 3
        assert_same(preds, reference)
    (tmp_path / "new" / "001.json").unlink()  # nor for one split alone
    preds, cached = predict(bars, directory=tmp_path / "new", jobs=2)
    assert sorted(cached) == [False, True, True]
    assert_same(preds, reference)
    with pytest.raises(SplitError, match="a worker died"):  # as no more can be started
        predict(bars, directory=tmp_path / "new", seed=9, jobs=2)


def test_an_ensemble_keeps_what_each_network_says_alone(bars, reference, tmp_path):
    both = dataclasses.replace(TRAINING, ensemble=2)
    preds, _ = predict(bars, training=both, directory=tmp_path)
    assert len(preds.members) == 2
    assert not reference.members
    assert_same(preds.members[0], reference)  # an ensemble of one is its own first member
    first, second = (member.proba for member in preds.members)
    made = preds.split >= 0
    assert (first[made] != second[made]).any(axis=1).mean() > 0.9
    np.testing.assert_array_equal(preds.members[1].split, preds.split)
    assert preds.members[1].fits != preds.fits != preds.members[0].fits
    preds.save(tmp_path / "p.parquet")
    assert_same(Predictions.load(tmp_path / "p.parquet"), preds)
    again, cached = predict(bars, training=both, directory=tmp_path)
    assert cached == [True] * 3
    assert_same(again, preds)
    longer, cached = predict(bars.rows(0, len(bars) - 1), training=both, directory=tmp_path)
    assert cached == [True] * 3  # new predictions of the stored weights
    for one, other in zip(longer.members, preds.members, strict=True):
        np.testing.assert_allclose(one.proba, other.proba[:-1], atol=1e-5)


def test_a_changed_setting_trains_anew(bars, kept):
    changed = dataclasses.replace(TRAINING, lr=2e-3)
    assert predict(bars, directory=kept, training=changed)[1] == [False] * 3
    assert predict(bars, directory=kept, seed=9)[1] == [False] * 3


def test_an_appended_bar_retrains_nothing(bars, reference, tmp_path):
    shorter = bars.rows(0, len(bars) - 1)
    predict(shorter, directory=tmp_path)
    longer, cached = predict(bars, directory=tmp_path)
    assert cached == [True] * 3
    np.testing.assert_allclose(longer.proba, reference.proba, atol=1e-5)
    assert (longer.split == reference.split).all()


def test_another_past_is_not_taken_for_this_one(bars, kept):
    close = bars.close.copy()
    close[100] = bars.low[100]
    changed = dataclasses.replace(bars, close=close)
    assert predict(changed, directory=kept)[1] == [False] * 3


def test_splits_of_a_neighbour_are_taken_over(bars, reference, kept, tmp_path):
    preds, cached = predict(bars, directory=tmp_path / "new", siblings=[kept])
    assert cached == [True] * 3
    assert_same(preds, reference)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(
        f"{n:03d}.{kind}" for n in range(3) for kind in ("json", "parquet", "safetensors")
    )


@pytest.mark.parametrize("name", ["001.safetensors", "001.parquet", "001.json"])
@pytest.mark.parametrize("damage", [pytest.param("truncate", marks=pytest.mark.slow), "flip"])
def test_a_damaged_file_is_named_and_made_anew(bars, reference, kept, caplog, name, damage):
    raw = bytearray((kept / name).read_bytes())
    if damage == "truncate":
        raw = raw[: len(raw) // 2]
    else:
        raw[len(raw) // 2] ^= 0x80
    (kept / name).write_bytes(raw)
    with caplog.at_level(logging.WARNING, logger="convnext_vbt"):
        preds, cached = predict(bars, directory=kept)
    assert cached == [True, False, True]
    assert "001.json is damaged" in caplog.text
    assert_same(preds, reference)


def test_one_changed_digit_in_a_record_is_noticed(bars, reference, kept, caplog):
    path = kept / "000.json"
    loss = f"{reference.fits[0].valid_loss!r}"
    path.write_text(path.read_text().replace(loss, f"{float(loss) + 1e-9!r}"))
    preds, cached = predict(bars, directory=kept)
    assert cached == [False, True, True]
    assert "000.json is damaged" in caplog.text
    assert_same(preds, reference)


def test_the_record_is_written_last_with_the_hashes_of_its_files(finished):
    record = json.loads((finished / "000.json").read_text())
    assert set(record["sha256"]) == {"000.safetensors", "000.parquet"}
    newest = max((finished / f"000.{k}").stat().st_mtime_ns for k in ("safetensors", "parquet"))
    assert (finished / "000.json").stat().st_mtime_ns >= newest


def test_a_split_that_fails_keeps_the_others(bars, tmp_path):
    features, labels, splits = inputs(bars)
    splits = [splits[0], dataclasses.replace(splits[1], train=(600, 610)), splits[2]]
    values = labels.values.copy()
    values[600:610] = -1
    broken = Labels(values=values, end=labels.end, opens=labels.opens)
    stages = (features, broken, splits)
    with pytest.raises(SplitError, match=r"1 of 3 splits failed \(split 2: .*train range"):
        predict(bars, stages=stages, directory=tmp_path)
    assert sorted(p.stem for p in tmp_path.glob("*.json")) == ["000", "002"]


def test_the_future_does_not_reach_back(bars, reference):
    """Garbage from the second test range's middle on leaves all before it bit-identical."""
    features, labels, splits = inputs(bars)
    t = sum(splits[1].test) // 2
    values = features.values.copy()
    values[t + 1 :] = 1e3 * np.random.default_rng(0).standard_normal(values[t + 1 :].shape)
    later = labels.values.copy()
    later[labels.end > t] = (later[labels.end > t] + 1) % 3
    garbage = (
        Features(names=features.names, values=values, warmup=features.warmup),
        Labels(values=later, end=labels.end, opens=labels.opens),
        splits,
    )
    preds = predict(bars, stages=garbage)[0]
    np.testing.assert_array_equal(preds.proba[: t + 1], reference.proba[: t + 1])
    assert not np.array_equal(preds.proba[t + 1 :], reference.proba[t + 1 :], equal_nan=True)
