import math

import pandas as pd
import pytest

from convnext_vbt.report.formats import (
    FIGURES,
    format_day,
    format_interval,
    format_number,
    level_label,
    level_text,
)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.1234, "percent", "12.3 %"),
        (-0.1234, "percent", "−12.3 %"),
        (-0.0001, "percent", "0.0 %"),
        (12.345, "percent", "1,234 %"),
        (1.005, "ratio", "1.00"),
        (-2.345, "ratio", "−2.35"),
        (0.00123, "basis_points", "12.3 bp"),
        (0.8725, "probability", "0.873"),
        (0.99991, "probability", "> 0.999"),
        (0.0, "probability", "< 0.001"),
        (1234.0, "count", "1,234"),
        (101.26, "times", "101.3 ×"),
        (7.0, "money", "7.00"),
        (10_064.4, "money", "10,064"),
        (9.04, "days", "9.0 days"),
        (41.3, "days", "41 days"),
    ],
)
def test_numbers_carry_their_unit(value, kind, text):
    assert format_number(value, kind) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_undefined_is_said_never_zero(value):
    assert format_number(value, "ratio") == "n/a"
    assert format_number(value, "ratio", trades=0) == "n/a (0 trades)"
    assert format_number(value, "ratio", trades=3) == "n/a"


def test_an_interval_has_both_ends_or_none():
    assert format_interval(-1.234, 0.5) == "−1.23 to 0.50"
    assert format_interval(math.nan, 0.5) == "n/a"


def test_levels_in_words():
    assert level_text("risk", 0.015) == "1.5 %"
    assert level_text("threshold", "q0.90") == "q0.90"
    assert level_text("threshold", 0.55) == "0.55"
    assert level_label("lookback_bars") == "Lookback bars"


def test_every_figure_is_explained():
    assert all(figure.help.endswith(".") and figure.label for figure in FIGURES)
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


def test_a_day_in_words_has_no_leading_zero():
    assert format_day(pd.Timestamp("2022-01-03 13:00", tz="UTC")) == "3 January 2022"
    assert format_day(pd.Timestamp("2021-12-31")) == "31 December 2021"
