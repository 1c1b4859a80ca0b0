import json
import re

import pytest

from benchmarks import end_to_end
from benchmarks.record import README, RESULTS, ROOT, ROWS, ratio, table, with_table


def test_the_readme_has_the_table_that_the_kept_figures_make():
    text = README.read_text()
    assert with_table(text, table(json.loads(RESULTS.read_text()))) == text


def test_no_ratio_is_restated_by_hand():
    made = table(json.loads(RESULTS.read_text()))
    pages = [README, *sorted((ROOT / "docs").glob("*.md"))]
    rest = "".join(page.read_text().replace(made, "") for page in pages)
    assert re.findall(r"\b\d[\d,.]*x\b", rest) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(7412.3, "7,400x"), (347.0, "350x"), (59.2, "59x"), (5.52, "5.5x"), (0.87, "0.87x")],
)
def test_ratios_have_two_digits(value, text):
    assert ratio(value) == text


def test_every_row_of_the_table_has_figures():
    results = json.loads(RESULTS.read_text())
    for _, name, figures in ROWS:
        assert set(figures) <= set(results[name]["figures"])


def test_every_stage_that_a_whole_run_is_timed_by_is_one_of_the_run():
    assert [
        name for name in end_to_end.STAGES.values() if not hasattr(end_to_end.pipeline, name)
    ] == []
