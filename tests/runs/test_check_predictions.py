"""What `check` says of a file of predictions."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from convnext_vbt.predictions import Predictions
from tests.cli.test_commands import call

INDEX = pd.date_range("2024-01-01", periods=100, freq="h", tz="UTC")
UP = pd.Series(0.5, INDEX).where(np.arange(100) >= 40)
TESTS = [(40, 70), (70, 100)]


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ([((0, a - 5), (a, b)) for a, b in TESTS], "walk-forward: every split learned from bars"),
        ([((0, 100), (a, b)) for a, b in TESTS], "not walk-forward: .*: splits 1, 2; the verdict"),
        (np.where(np.arange(100) < 40, -1, np.arange(100) // 70), "fold numbers do not tell"),
        (None, "without splits: .* one fixed rule is traded"),
    ],
    ids=["walk-forward", "K-fold", "fold numbers", "none"],
)
def test_check_says_what_predictions_were_learned_from(tmp_path, splits, words):
    path = tmp_path / "own.parquet"
    Predictions.from_frames(prob_up=UP, prob_down=1 - UP, splits=splits).save(path)
    told = call("check", path)
    assert told.exit_code == 0, told.output
    assert "asset: 60 predictions from 2024-01-02 16:00 to 2024-01-05 03:00" in told.stdout
    facts = json.loads(call("check", path, "--json").stdout)
    assert re.search(words, facts["learned_from"])
    assert facts["learned_from"] in told.stdout
