import math

import numpy as np
import pytest

from benchmarks import coverage


@pytest.mark.parametrize("ratio", [pytest.param(0.0, marks=pytest.mark.slow), 1.5 / math.sqrt(365)])
@pytest.mark.parametrize("name", coverage.FAMILIES)
def test_every_family_has_the_sharpe_ratio_that_it_is_judged_by(name, ratio):
    """The variance of the wildest is finite, but a few thousand years do not show it."""
    returns = coverage.FAMILIES[name](np.random.default_rng(0), (365, 2_000), ratio)
    assert returns.shape == (365, 2_000)
    means, deviation = returns.mean(axis=0), returns.std() if "flat" in name else 1.0
    assert abs(means.mean() - ratio * deviation) < 4 * means.std() / math.sqrt(2_000)
    if "flat" in name:
        assert (returns == 0).mean() == pytest.approx(0.85, abs=0.01)
    else:
        assert returns.std() == pytest.approx(1.0, rel=0.25 if "0.84" in name else 0.03)


def test_shares_are_counted(monkeypatch):
    monkeypatch.setattr(coverage, "NUM_DRAWS", 100)
    found = coverage.judged("AR 0.4", 1.5, 30)
    assert 0.5 < found["covers_now"] <= 1
    assert 0 <= found["error_now"] < 0.3
    assert coverage.judged("AR 0.4", 1.5, 30) == found
    assert set(coverage.best_of_many("normal", 10)) == {"best_before", "best_now"}
