"""The comparison page in a real headless Chromium."""

import pytest

from convnext_vbt.evidence.comparison import compare_runs
from convnext_vbt.report.compare_page import write_comparison
from tests.evidence.test_comparison import contender
from tests.report.markets import make_sweep
from tests.report.test_browser import Visit, pytestmark  # noqa: F401


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "compare.html"
    runs = [
        contender(name, make_sweep(threshold=rules, risk=0.01), **{"sweep.threshold": str(rules)})
        for name, rules in (("first", ["q0.70", "q0.80"]), ("second-with-a-long-name", ["q0.60"]))
    ]
    return write_comparison(compare_runs(runs), path).as_uri()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_it_draws_without_a_request_or_a_complaint(browser, address, width, scheme):
    view = {"width": width, "height": 900}
    with Visit(browser, address, viewport=view, color_scheme=scheme) as visit:
        assert visit.page.locator(".chart.js-plotly-plot").count() == 2
        assert visit.page.locator("#chart-equity .legendtext").count() == 3
        widest = visit.page.evaluate("document.documentElement.scrollWidth")
        assert widest <= width
        shade = visit.page.evaluate(
            "getComputedStyle(document.querySelector('#chart-equity .legendtext')).fill"
        )
        assert shade == ("rgb(221, 227, 234)" if scheme == "dark" else "rgb(29, 39, 51)")
        assert visit.requests == [address]
        assert visit.complaints == []
