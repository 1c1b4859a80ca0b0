"""The section of paths: each path's point, and what is said of them."""

import math

import numpy as np

from convnext_vbt.evidence.paths import Path, Paths
from convnext_vbt.report.sections.paths.figures import MOST_NUMBERS, path_figure
from convnext_vbt.report.sections.paths.section import _rows, _summary


def paths_of(*sharpes):
    made = [Path(sharpe=s, total_return=0.1, max_drawdown=-0.2, trades=40) for s in sharpes]
    return Paths(groups=6, held_out=2, rule="threshold q0.50", paths=tuple(made))


def test_points_rise_and_keep_their_numbers():
    figure = path_figure(np.array([0.5, math.nan, -1.0, 2.0]), 1.25)
    (points,) = figure.data
    assert list(points.x) == [-1.0, 0.5, 2.0]
    assert list(points.customdata) == [3, 1, 4]
    assert list(figure.layout.yaxis.ticktext) == ["3", "1", "4"]
    assert figure.layout.yaxis.showticklabels
    low, high = figure.layout.xaxis.range
    assert low < -1.0 < 2.0 < high
    low, high = path_figure(np.array([5.0, 6.0]), 9.0).layout.xaxis.range
    assert low < 0 < 9.0 < high  # how far from 0, and from the headline
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].x1) == (1.25, 1.25)


def test_many_paths_have_no_numbers_and_an_undefined_headline_no_line():
    figure = path_figure(np.linspace(-1, 1, MOST_NUMBERS + 1), math.nan)
    assert not figure.layout.yaxis.showticklabels
    assert not figure.layout.shapes


def test_the_words_have_the_figures():
    said = _summary(paths_of(0.8, -0.3, 1.9, 0.2, -1.1), 0.65)
    assert said == (
        "Median Sharpe ratio 0.20, 5 % to 95 % of the paths −0.94 to 1.68; 2 of 5 paths below 0. "
        "Headline: 0.65."
    )
    some = _summary(paths_of(1.0, math.nan, -1.0), 0.65)
    assert "1 of 2 paths (1 without a trade are left out) below 0" in some
    assert _summary(paths_of(math.nan), 0.65).startswith("No path made a trade")
    assert _rows(paths_of(0.8, -0.3))[1] == ["2", "−0.30", "10.0 %", "−20.0 %", "40"]
