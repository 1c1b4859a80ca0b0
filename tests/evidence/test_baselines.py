import math

import numpy as np
import pytest

from convnext_vbt.evidence.baselines import FIGURES, _addition, _sentence, compare
from convnext_vbt.evidence.difference import Difference, sharpe_difference
from convnext_vbt.evidence.headline import headline
from convnext_vbt.evidence.selection import Preset
from tests.evidence.markets import make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


NAMES = {"convnext": "the network", "logistic": "logistic regression"}


@pytest.fixture(scope="module")
def results():
    bars = make_bars()
    return {
        "convnext": make_sweep(bars, make_predictions(bars, skill=0.0, seed=1)),
        "logistic": make_sweep(bars, make_predictions(bars, skill=6.0)),
        "mine": make_sweep(bars, make_predictions(bars, skill=3.0)),
    }


def test_each_is_held_against_the_first_on_the_same_days(results):
    found = compare(results, preset=Preset(risk=0.005))
    assert list(found.table.index) == list(results)
    heads = {name: headline(res, risk=0.005) for name, res in results.items()}
    for name, head in heads.items():
        row = found.table.loc[name]
        assert row[list(FIGURES)].tolist() == [getattr(head, figure) for figure in FIGURES]
        assert row["days"] == head.num_days
        if name == "convnext":
            assert np.isnan(row[["difference", "difference_low", "difference_high"]]).all()
            continue
        expected = sharpe_difference(
            head.selection.account, heads["convnext"].selection.account, days_per_year=365
        )
        assert row["difference"] == expected.sharpe
        assert (row["difference_low"], row["difference_high"]) == (expected.low, expected.high)


def test_a_baseline_that_did_better_is_called_so(results):
    row = compare(results).table.loc["logistic"]
    said = compare(results, names=NAMES).sentences
    assert len(said) == 2
    assert said[0] == (
        f"Logistic regression did better than the network by {row['difference']:.2f} of Sharpe "
        f"(90 % interval {row['difference_low']:.2f} to {row['difference_high']:.2f})."
    )
    assert said[1].startswith("Mine did better than the network by")
    turned = {"logistic": results["logistic"], "convnext": results["convnext"]}
    assert compare(turned, names=NAMES).sentences == said[:1]
    assert compare(turned).table.loc["convnext", "difference"] == pytest.approx(-row["difference"])


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (
            (0.5, 0.1, 0.9),
            (
                "Gradient boosting did better than the network by 0.50 of Sharpe "
                "(90 % interval 0.10 to 0.90)."
            ),
        ),
        (
            (-0.5, -0.9, -0.1),
            (
                "The network did better than gradient boosting by 0.50 of Sharpe "
                "(90 % interval 0.10 to 0.90)."
            ),
        ),
        (
            (-0.5, -1.2, 0.3),
            (
                "The network did better than gradient boosting by 0.50 of Sharpe "
                "(90 % interval -0.30 to 1.20), which may be chance: the interval holds zero."
            ),
        ),
        (
            (0.5, math.nan, math.nan),
            (
                "Gradient boosting did better than the network by 0.50 of Sharpe; there are too "
                "few days for an interval."
            ),
        ),
        (
            (math.nan, math.nan, math.nan),
            "Gradient boosting and the network cannot be compared: one of them never traded.",
        ),
    ],
)
def test_sentences(difference, sentence):
    sharpe, low, high = difference
    found = Difference(sharpe=sharpe, low=low, high=high, num_days=9)
    assert _sentence("gradient boosting", "the network", found) == sentence


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (
            (-0.5, -1.2, 0.3),
            (
                "The network adds to the logistic regression that it stands on 0.50 of Sharpe "
                "(90 % interval -0.30 to 1.20), which may be chance: the interval holds zero."
            ),
        ),
        (
            (0.5, 0.1, 0.9),
            (
                "The network costs the logistic regression that it stands on 0.50 of Sharpe "
                "(90 % interval 0.10 to 0.90)."
            ),
        ),
        (
            (0.0, 0.0, 0.0),
            (
                "The network adds nothing to the logistic regression that it stands on: the "
                "Sharpe ratio is the same."
            ),
        ),
        (
            (math.nan, math.nan, math.nan),
            "Logistic regression and the network cannot be compared: one of them never traded.",
        ),
    ],
)
def test_what_the_network_adds_to_its_base(difference, sentence):
    sharpe, low, high = difference
    found = Difference(sharpe=sharpe, low=low, high=high, num_days=9)
    assert _addition("logistic regression", "the network", found) == sentence


def test_only_the_base_is_what_something_is_added_to(results):
    found = compare(results, base="logistic", names=NAMES)
    assert found.base == "logistic"
    assert "logistic regression that it stands on" in found.sentences[0]
    assert found.sentences[1] == compare(results, names=NAMES).sentences[1]
    assert found.names == NAMES | {"mine": "mine"}


def test_what_cannot_be_compared_is_refused(results):
    with pytest.raises(ValueError, match=r"at least two sweeps, got \['convnext'\]"):
        compare({"convnext": results["convnext"]})
    bars = make_bars()
    other = {
        "convnext": results["convnext"],
        "mine": make_sweep(bars, make_predictions(bars, splits=5)),
    }
    with pytest.raises(ValueError, match="mine was not traded over the bars and test ranges of"):
        compare(other)
    shorter = make_bars(bars=2900)
    other["mine"] = make_sweep(shorter, make_predictions(shorter))
    with pytest.raises(ValueError, match="mine was not traded over"):
        compare(other)
