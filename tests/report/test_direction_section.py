import html
import re
from types import SimpleNamespace

import numpy as np
import pytest

from convnext_vbt.evidence.direction import Estimate, direction_of
from convnext_vbt.evidence.gathering import gather
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.learning.labels import labels_for
from convnext_vbt.report.page import render_evidence
from convnext_vbt.report.sections.direction.figures import direction_figure
from convnext_vbt.report.sections.direction.section import _context, coin_text
from tests.report.markets import TARGET, make_bars, make_sweep

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")
NOTE = "This market's family (regimes) was in the simulation"


@pytest.fixture(scope="module")
def evidence():
    """Claims that a random walk will go on as it went: false."""
    res = make_sweep(bars=make_bars(bars=1_500), threshold="q0.70", risk=0.01)
    return gather(
        res,
        labels=labels_for(res.bars, TARGET).values,
        assessment=assess(res, preset=Preset(), draws=40),
        notes=[NOTE],
    )


@pytest.fixture(scope="module")
def text(evidence):
    page = render_evidence(evidence, provenance={})
    return html.unescape(page).replace("−", "-")


def test_a_false_claim_is_named_in_the_verdict_before_the_callers_notes(evidence, text):
    card = text[text.index('<section id="verdict"') :].partition("</section>")[0]
    notes = re.findall(r'<li class="remark"><span[^>]*>!</span> ([^<]*)</li>', card)
    assert notes == list(evidence.notes)
    assert notes[0].startswith("Confidence in direction is overstated: calibration slope ")
    assert notes[1] == NOTE


def test_a_claim_that_is_not_false_leaves_only_the_callers_notes(evidence):
    labels = np.full(evidence.result.bars.close.shape, 1, dtype=np.int8)  # nothing moved
    still = gather(evidence.result, labels=labels, assessment=evidence.assessment, notes=[NOTE])
    assert still.direction is None
    assert still.notes == (NOTE,)
    assert 'id="direction"' not in render_evidence(still, provenance={})


def test_the_figure_holds_the_bins_the_slope_and_the_diagonal(evidence):
    found = evidence.direction
    diagonal, line, bars = direction_figure(found).data
    assert list(diagonal.x) == list(diagonal.y)
    table = found.reliability
    assert list(bars.x) == table["claimed"].tolist()
    assert list(bars.y) == table["rose"].tolist()
    assert np.add(bars.y, bars.error_y.array) == pytest.approx(table["high"])
    logit = np.log(np.divide(line.y, np.subtract(1, line.y)))
    claimed = np.log(np.divide(line.x, np.subtract(1, line.x)))
    assert np.polyfit(claimed, logit, 1) == pytest.approx([found.all.slope.value, 0], abs=1e-6)


def test_a_slope_that_was_applied_has_a_column(evidence):
    found = evidence.direction
    plain = _context(found, ())
    assert "Slope applied" not in [column.label for column in plain["columns"]]
    fits = tuple(SimpleNamespace(number=k, direction_slope=0.25 * k) for k in range(2))
    told = _context(found, fits)
    assert told["columns"][-1].label == "Slope applied"
    assert [row[-1].text for row in told["splits"]] == ["0.00", "0.25", "–"]
    assert all(len(row) == len(told["columns"]) for row in told["splits"])
    assert all(len(row) == len(plain["columns"]) for row in plain["splits"])


def test_log_loss_beside_a_coin():
    interval = "a coin’s (90 % CI 1.0 to 7.0)."
    better, worse = (
        Estimate(value=4.0, low=1.0, high=7.0),
        Estimate(value=-4.0, low=-7.0, high=-1.0),
    )
    assert coin_text(better) == f"Log-loss: 4.0 nats per 1,000 moved bars below {interval}"
    assert coin_text(worse) == f"Log-loss: 4.0 nats per 1,000 moved bars above {interval}"
    assert coin_text(Estimate(value=-4.0)).endswith("moved bars above a coin’s.")


def test_it_is_what_the_sweep_says(evidence):
    labels = labels_for(evidence.result.bars, TARGET).values
    assert direction_of(evidence.result, labels).all == evidence.direction.all
