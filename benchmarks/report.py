"""The report's size and speed: how large, how long to build, to draw and to select.

Run `python -m benchmarks.report [--quick]`.

54 cells over 8,760 hourly bars, 54 over 50,000 and 400 over 8,760, each opened in a headless
Chromium from a file. "drawn" is from opening the file until plotly runs and all that a person sees
first is drawn; the charts further down follow while the browser is idle, and "all" is until every
one of them is. Both are wall-clock; "CPU" is the main thread's time up to then. "select" is from
choosing another cell until the tables and all charts in view are redrawn and painted. The JSON line
is of the first page. Without a browser and playwright only size and building are measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convnext_vbt.evidence.verdict import assess
from convnext_vbt.market.bars import Bars
from convnext_vbt.market.simulated import simulated_bars
from convnext_vbt.predictions import QUANTILE_LEVELS, Predictions, Split, SplitFit, Target
from convnext_vbt.report.page import write_report
from convnext_vbt.trading.sweep import SweepResult, sweep
from tests.browser import find_browser, headless

TARGET = Target(kind="barrier", horizon=24, up=1.0, down=1.0, halflife=24.0)
WARMUP = 2_000

SELECT = """async cell => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const node = document.querySelector('[data-level="threshold"]');
  const begin = performance.now();
  node.selectedIndex = cell;
  node.dispatchEvent(new Event("change"));
  await frame();
  await frame(); // painted
  const seen = performance.now() - begin;
  while (document.documentElement.dataset.drawn !== "yes") // the next starts from an idle page
    await new Promise(done => setTimeout(done, 1));
  return seen;
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One page."""

    megabytes: float
    build_seconds: float
    drawn_seconds: float
    all_drawn_seconds: float
    cpu_seconds: float
    select_ms: float


def predictions(bars: Bars, num_splits: int) -> Predictions:
    """Slow random probabilities in walk-forward splits, as if a network had made them."""
    rng = np.random.default_rng(0)
    slow = pd.DataFrame(rng.standard_normal((len(bars), 3))).ewm(halflife=12).mean().to_numpy()
    weight = np.exp(4.0 * slow)
    proba = (weight / weight.sum(axis=1, keepdims=True))[:, None, :]
    number = np.full((len(bars), 1), -1, dtype=np.int16)
    edges = np.linspace(WARMUP, len(bars), num_splits + 1).astype(int).tolist()
    splits, fits, quantiles = [], [], []
    for k, (start, stop) in enumerate(itertools.pairwise(edges)):
        splits.append(
            Split(
                number=k, train=(start - WARMUP, start - 24), test=(start, stop),
            )
        )  # fmt: skip
        number[start:stop] = k
        fits.append(
            SplitFit(number=k, epochs=20, valid_loss=1.05, prior_loss=1.08,
                     prior=(0.3, 0.4, 0.3))
        )  # fmt: skip
        sure = proba[start - 424 : start - 24, 0][:, [0, 2]].max(axis=1)
        quantiles.append(np.quantile(sure, QUANTILE_LEVELS))
    return Predictions(
        index=bars.index,
        symbols=bars.symbols,
        proba=np.where(number[:, :, None] >= 0, proba, np.nan),
        split=number,
        splits=tuple(splits),
        fits=tuple(fits),
        quantiles=np.array(quantiles),
        target=TARGET,
        receptive_field=256,
    )


def make_sweep(num_bars: int, num_thresholds: int, num_risks: int) -> SweepResult:
    """Thresholds from q0.70 to q0.98 by risks from 0.25 % to 3 %."""
    bars = simulated_bars(seed=0, edge=0.0, bars=num_bars + WARMUP)
    return sweep(
        bars,
        predictions(bars, max(6, num_bars // 2_160)),
        threshold=[f"q{level:.3f}" for level in np.linspace(0.70, 0.98, num_thresholds)],
        risk=np.linspace(0.0025, 0.03, num_risks).round(5).tolist(),
    )


def measure(res: SweepResult, path: Path, *, repeats: int) -> Measured:
    """Build once to warm up and import, then once more; open and select `repeats` times."""
    assessment = assess(res)
    write_report(res, path, assessment=assessment)
    start = time.perf_counter()
    write_report(res, path, assessment=assessment)
    built = time.perf_counter() - start
    drawn, whole, used, seen = browse(path, len(res.metrics.index.unique("threshold")), repeats)
    return Measured(
        megabytes=path.stat().st_size / 1e6,
        build_seconds=built,
        drawn_seconds=drawn,
        all_drawn_seconds=whole,
        cpu_seconds=used,
        select_ms=seen,
    )


def browse(path: Path, num_thresholds: int, repeats: int) -> tuple[float, float, float, float]:
    """Medians: seconds until what is in view and all is drawn, CPU of it, ms until a selection."""
    try:
        program = find_browser()
    except ImportError:  # playwright's
        program = None
    if program is None:
        return (float("nan"),) * 4
    drawn, whole, used, seen = [], [], [], []
    with headless(program) as browser:
        for _ in range(repeats):
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            protocol = page.context.new_cdp_session(page)
            protocol.send("Performance.enable", {"timeDomain": "threadTicks"})
            start = time.perf_counter()
            page.goto(path.as_uri())
            for mark, times in (("seen", drawn), ("drawn", whole)):
                while page.evaluate(f"document.documentElement.dataset.{mark}") != "yes":
                    time.sleep(0.005)
                times.append(time.perf_counter() - start)
            counters = protocol.send("Performance.getMetrics")["metrics"]
            used.append({one["name"]: one["value"] for one in counters}["TaskDuration"])
            for place in ("#sweep", "#equity", "#returns"):
                page.evaluate("place => document.querySelector(place).scrollIntoView()", place)
                for cell in range(2):
                    seen.append(page.evaluate(SELECT, (cell + len(seen)) % num_thresholds))
            page.close()
    medians = [statistics.median(times) for times in (drawn, whole, used, seen)]
    return medians[0], medians[1], medians[2], medians[3]


def main() -> None:
    """Measure each page, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first page alone, fewer repeats")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    sizes = [(8_760, 9, 6), (50_000, 9, 6), (8_760, 25, 16)][: 1 if quick else None]
    found = []
    print(
        f"{'bars':>8}{'cells':>7}{'MB':>7}{'build s':>9}{'drawn s':>9}"
        f"{'all s':>7}{'CPU s':>7}{'select ms':>11}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for num_bars, thresholds, risks in sizes:
            res = make_sweep(num_bars, thresholds, risks)
            one = measure(res, Path(folder) / "report.html", repeats=2 if quick else 3)
            found.append(one)
            print(
                f"{num_bars:>8,}{len(res.metrics):>7}{one.megabytes:>7.2f}{one.build_seconds:>9.1f}"
                f"{one.drawn_seconds:>9.2f}{one.all_drawn_seconds:>7.2f}{one.cpu_seconds:>7.2f}"
                f"{one.select_ms:>11.0f}"
            )
    first = found[0]
    result = {
        "megabytes": round(first.megabytes, 3),
        "build_seconds": round(first.build_seconds, 2),
        "drawn_seconds": round(first.drawn_seconds, 2),
        "all_drawn_seconds": round(first.all_drawn_seconds, 2),
        "select_ms": round(first.select_ms, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
