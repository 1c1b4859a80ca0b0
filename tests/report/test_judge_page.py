"""The page of `judge`, as text and in a real headless Chromium."""

import math

import numpy as np
import pytest

import convnext_vbt as cv
from convnext_vbt.report.judge_page import figures, render_judgement
from convnext_vbt.report.judge_words import figure_rows, meaning, tiles
from tests.evidence.judging.grids import crossings, noise, prices
from tests.report.test_browser import Visit


@pytest.fixture(scope="module")
def grid():
    return cv.judge(crossings(prices(days=200, seed=4)["a0"]), title="A <b>grid</b>")


@pytest.fixture(scope="module")
def page(grid):
    return render_judgement(grid)


def test_it_says_what_was_found(grid, page):
    assert "<title>A &lt;b&gt;grid&lt;/b&gt;</title>" in page
    assert f'class="verdict {grid.verdict.word.lower()}"' in page
    for reason in grid.verdict.reasons:
        assert reason.text.split(":")[0] in page.replace("−", "-")
    values = {row.name: row.value for row in figure_rows(grid)}
    assert values["Columns"] == "6"
    assert values["Effective trials"] == f"{grid.effective_trials:.1f}"
    assert {tile.label: tile.value for tile in tiles(grid)}["Sharpe ratio"] == (
        f"{grid.judged.sharpe:.2f}".replace("-", "−")
    )


def test_the_same_findings_give_the_same_bytes(grid, page, tmp_path):
    assert grid.write_report(tmp_path / "judge.html").read_text() == page


def test_its_lines_are_the_returns(grid):
    made = figures(grid)
    last = {trace.name: trace.y[-1] for trace in made["equity"].data if trace.showlegend is None}
    assert last["walk-forward choice"] == pytest.approx(1 + grid.judged.total_return)
    assert last["best in hindsight"] == pytest.approx(
        np.prod(1 + grid.best_returns[grid.path.start :])
    )
    assert set(made) == {"equity", "columns", "sides", "times", "logits"}
    assert sum(made["columns"].data[0].y) == 6


def test_what_is_not_known_is_said_and_not_drawn():
    one = cv.judge(noise(mean=0.003)["r0"], benchmark=noise(seed=8)["r1"])
    assert set(figures(one)) == {"equity"}
    assert meaning(one).startswith("All that can be known is met")
    text = render_judgement(one)
    assert "Not known: returns alone do not say what was held." in text
    assert "What choosing would have earned" not in text
    assert math.isnan(one.judged.doubled_costs_sharpe)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_it_draws_without_a_request_or_a_complaint(browser, grid, tmp_path, width, scheme):
    address = grid.write_report(tmp_path / "judge.html").as_uri()
    view = {"width": width, "height": 900}
    with Visit(browser, address, viewport=view, color_scheme=scheme) as visit:
        assert visit.page.locator(".chart.js-plotly-plot").count() == 5
        assert visit.page.locator("#chart-equity .legendtext").count() == 3
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        assert visit.requests == [address]
        assert visit.complaints == []
