"""Draw the guide's pictures from real runs: python -m docs.make_pictures [REPORTS].

REPORTS is a folder of runs, default reports/; the quickstart strategy is run there, and again with
logistic regression, or taken from there where it is finished. Needs `pip install playwright pillow`
and the browser of the tests.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from convnext_vbt.report.compare_page import write_comparison
from convnext_vbt.runs import compare as comparison
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.config import load_config
from tests.browser import find_browser, headless

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
SECTIONS = ("verdict", "key", "splits", "sweep", "overfitting", "equity", "per-split", "model")
WIDTH, MARGIN, TALLEST = 1000, 24, 1600


def main() -> None:
    """Run what is missing, then draw."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "reports"
    strategy = ROOT / "strategies" / "quickstart.toml"
    network = pipeline.run(load_config(strategy), out=out)
    plain = pipeline.run(load_config(strategy, ["model.kind=logistic"]), out=out)
    folders = [network.directory, plain.directory]
    page = comparison.page_path(folders)
    found = comparison.compare_directories(folders)
    write_comparison(comparison.linked(found, folders, page), page)
    PICTURES.mkdir(exist_ok=True)
    with headless(find_browser(), "--hide-scrollbars") as browser:
        view = {"width": WIDTH, "height": 900}
        tab = browser.new_page(viewport=view, color_scheme="light", reduced_motion="reduce")
        show(tab, network.report)
        for name in SECTIONS:
            box = tab.locator(f"#{name}").bounding_box()
            save(part(tab, box["y"] - MARGIN / 2, box["height"] + MARGIN), name)
        save(part(tab, 0, 760), "report")
        show(tab, page)
        save(part(tab, 0, TALLEST), "compare")
    total = sum(path.stat().st_size for path in PICTURES.glob("*.png"))
    print(f"{len(list(PICTURES.glob('*.png')))} pictures, {total / 1e6:.2f} MB, in {PICTURES}")


def show(tab: Page, path: Path) -> None:
    """Open a page and wait until everything on it is drawn; what sticks is let go."""
    tab.goto(path.resolve().as_uri())
    tab.wait_for_selector("html[data-drawn=yes]", state="attached", timeout=60_000)
    tab.add_style_tag(content=".controls, nav { position: static !important }")


def part(tab: Page, top: float, height: float) -> bytes:
    """A strip of the whole page."""
    clip = {"x": 0, "y": max(top, 0), "width": WIDTH, "height": min(height, TALLEST)}
    return tab.screenshot(full_page=True, clip=clip)


def save(data: bytes, name: str) -> None:
    """Keep a picture in 256 colours, which halves it and is more than the charts have."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    few = picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
