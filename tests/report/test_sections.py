import re

import pytest

from convnext_vbt.report.page import SCRIPTS, _merged
from convnext_vbt.report.section import FOLDER
from convnext_vbt.report.sections import SECTIONS
from tests.report.markets import make_bars, make_sweep, quick_render

pytestmark = pytest.mark.filterwarnings("ignore:.*cells have fewer than 30 trades")


@pytest.fixture(scope="module")
def text():
    return quick_render(make_sweep(bars=make_bars(bars=1_500), threshold="q0.70", risk=0.01))


def test_every_folder_is_a_section_with_a_template():
    folders = {path.name for path in FOLDER.iterdir() if (path / "section.py").exists()}
    assert sorted(section.name for section in SECTIONS) == sorted(folders)
    assert all((FOLDER / name / "section.html.j2").exists() for name in folders)


def test_the_page_follows_the_order_of_the_list(text):
    found = re.findall(r'<section id="([^"]+)"', text)
    there = [section.anchor for section in SECTIONS if section.anchor in found]
    assert found == there
    assert set(found) == {section.anchor for section in SECTIONS} - {
        "provenance", "symbols", "baselines", "paths",
    }  # fmt: skip
    contents = re.search(r"<nav.*?</nav>", text, re.DOTALL).group()
    listed = [(section.anchor, section.title) for section in SECTIONS if section.title]
    for absent in (("symbols", "Symbols"), ("paths", "Paths")):
        listed.remove(absent)
    assert re.findall(r'href="#([^"]+)">([^<]+)<', contents) == listed


def test_the_scripts_of_the_sections_follow_the_shared_ones(text):
    script = text.rpartition("<script>")[2]
    own = [section.script for section in SECTIONS if section.script]
    heads = [(FOLDER.parent / name).read_text().partition("\n")[0] for name in own]
    places = [script.index(head) for head in heads]
    assert places == sorted(places)
    assert script.index("const sections = []") < places[0]
    assert SCRIPTS[-1] == "page.js"


def test_two_sections_cannot_name_the_same_chart():
    assert _merged([{"a": 1}, {"b": 2}]) == {"a": 1, "b": 2}
    with pytest.raises(AssertionError, match=r"two sections of the page name \['a'\]"):
        _merged([{"a": 1}, {"a": 2}])
