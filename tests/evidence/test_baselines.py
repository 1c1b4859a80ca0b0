import math

import numpy as np
import pytest

from convnext_vbt.evidence.baselines import FIGURES, compare
from convnext_vbt.evidence.difference import Difference, difference_sentence, sharpe_difference
from convnext_vbt.evidence.headline import headline
from convnext_vbt.evidence.selection import Preset
from tests.evidence.markets import make_bars, make_predictions, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*fewer than 30 trades")


NAMES = {"convnext": "network", "logistic": "logistic regression"}


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
        f"Network minus logistic regression: Sharpe {-row['difference']:.2f} "
        f"(90 % CI {-row['difference_high']:.2f} to {-row['difference_low']:.2f}). "
        "Logistic regression did better."
    )
    assert said[1].startswith("Network minus mine: Sharpe -")
    turned = {"logistic": results["logistic"], "convnext": results["convnext"]}
    (back,) = compare(turned, names=NAMES).sentences
    assert back.startswith(f"Logistic regression minus network: Sharpe {row['difference']:.2f} ")
    assert back.endswith("Logistic regression did better.")
    assert compare(turned).table.loc["convnext", "difference"] == pytest.approx(-row["difference"])


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        ((0.5, 0.1, 0.9), ": Sharpe 0.50 (90 % CI 0.10 to 0.90). Gradient boosting did better."),
        ((-0.5, -0.9, -0.1), ": Sharpe -0.50 (90 % CI -0.90 to -0.10). Network did better."),
        ((-0.5, -1.2, 0.3), ": Sharpe -0.50 (90 % CI -1.20 to 0.30). No measurable difference."),
        ((0.5, math.nan, math.nan), ": Sharpe 0.50, too few days for an interval."),
        ((0.0, 0.0, 0.0), ": Sharpe 0.00, no difference."),
        ((math.nan, math.nan, math.nan), ": no Sharpe ratio, one of them never traded."),
    ],
)
def test_sentences(difference, sentence):
    sharpe, low, high = difference
    found = Difference(sharpe=sharpe, low=low, high=high, num_days=9)
    text = difference_sentence("gradient boosting", "network", found)
    assert text == f"Gradient boosting minus network{sentence}"
    back = difference_sentence("network", "gradient boosting", found.reversed())
    assert back.startswith("Network minus gradient boosting")
    assert back[-10:] == text[-10:]  # the same one did better


def test_only_the_base_is_what_something_is_added_to(results):
    found = compare(results, base="logistic", names=NAMES)
    assert found.base == "logistic"
    assert found.sentences[0].startswith("Network minus logistic regression alone: Sharpe ")
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
