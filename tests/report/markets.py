"""Small markets and made-up predictions for the report's tests; no network was trained."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convnext_vbt.evidence.accounts import Account
from convnext_vbt.evidence.concerns import concerns
from convnext_vbt.evidence.selection import Preset
from convnext_vbt.evidence.verdict import assess
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import QUANTILE_LEVELS, Predictions, Split, SplitFit, Target
from convnext_vbt.report.page import render
from convnext_vbt.report.sections.caveats.section import generated
from convnext_vbt.trading.simulation import Simulation
from convnext_vbt.trading.sweep import SweepResult, sweep

TARGET = Target(kind="barrier", horizon=24, up=1.0, down=1.0, halflife=24.0)
THRESHOLDS = ["q0.70", "q0.80", "q0.90", "q0.97"]
RISKS = [0.005, 0.01, 0.02]
FIXED = {"threshold": "q0.90", "risk": 0.01}


def walk_frame(*, bars: int = 2_400, seed: int = 3) -> pd.DataFrame:
    """A random walk of hourly bars with six bars missing in three places."""
    rng = np.random.default_rng(seed)
    steps = 0.006 * rng.standard_normal((bars, 8)) / np.sqrt(8)
    path = 30_000 * np.exp(np.cumsum(steps).reshape(bars, 8))
    opens = np.concatenate([[30_000.0], path[:-1, -1]])
    ticks = np.column_stack([opens, path])
    index = pd.date_range("2022-01-01", periods=bars, freq="h", tz="UTC")
    frame = pd.DataFrame(
        {
            "open": opens,
            "high": ticks.max(axis=1),
            "low": ticks.min(axis=1),
            "close": path[:, -1],
            "volume": rng.lognormal(5, 0.5, bars),
        },
        index=index,
    )
    return frame.drop(
        index[[bars // 8, bars // 8 + 1, bars // 8 + 2, bars // 2, bars - 90, bars - 89]]
    )


def make_bars(*symbols: str, bars: int = 2_400) -> Bars:
    """A panel, a random walk a symbol."""
    names = symbols or ("BTC/USDT",)
    return Bars.from_frames({name: walk_frame(bars=bars, seed=k) for k, name in enumerate(names)})


def make_predictions(bars: Bars, *, splits: int = 3, first: int = 900) -> Predictions:
    """Probabilities that lean on the last day's return; the last split "did not learn"."""
    log = pd.DataFrame(np.log(bars.close)).ffill()
    lean = ((log - log.shift(24)) / 0.03).fillna(0.0).to_numpy()
    logits = np.stack([-lean, np.full_like(lean, 0.3), lean], axis=2)
    weight = np.exp(logits)
    every = weight / weight.sum(axis=2, keepdims=True)
    proba = np.full(every.shape, np.nan)
    number = np.full(bars.close.shape, -1, dtype=np.int16)
    edges = np.linspace(first, len(bars), splits + 1).astype(int).tolist()
    made, fits, quantiles = [], [], []
    for k, (start, stop) in enumerate(itertools.pairwise(edges)):
        calibration = (start - 150, start - 24)
        made.append(
            Split(
                number=k,
                train=(start - first, start - 400),
                valid=(start - 376, start - 174),
                calibration=calibration,
                test=(start, stop),
            )
        )
        number[start:stop] = k
        loss = 1.2 if k == splits - 1 else 1.04
        fits.append(
            SplitFit(
                number=k, epochs=40 + k, valid_loss=loss, prior_loss=1.08,
                prior=(0.28, 0.45, 0.27),
            )
        )  # fmt: skip
        sure = np.maximum(every[slice(*calibration), :, 0], every[slice(*calibration), :, 2])
        quantiles.append(np.quantile(sure, QUANTILE_LEVELS))
    number[~bars.present] = -1
    proba[number >= 0] = every[number >= 0]
    return Predictions(
        index=bars.index,
        symbols=bars.symbols,
        proba=proba,
        split=number,
        splits=tuple(made),
        fits=tuple(fits),
        quantiles=np.array(quantiles),
        target=TARGET,
        receptive_field=256,
    )


def make_sweep(*, bars: Bars | None = None, splits: int = 3, **arguments: Any) -> SweepResult:
    """A sweep of 4 thresholds by 3 risks unless told otherwise."""
    bars = bars or make_bars()
    given = {"threshold": THRESHOLDS, "risk": RISKS} | arguments
    return sweep(bars, make_predictions(bars, splits=splits), **given)


def quick_render(res: SweepResult, **arguments: Any) -> str:
    """`render` with few random draws, for tests that are not about them."""
    selected = arguments.get("selected") or {}
    assessment = assess(res, preset=Preset(risk=selected.get("risk")), draws=40)
    return render(res, **{"provenance": {}, "assessment": assessment} | arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a browser finds in a report: its JSON and its arrays."""

    text: str
    data: dict[str, Any]
    pool: bytes

    @classmethod
    def read(cls, text: str) -> Page:
        """Take the page apart as its script does."""
        parts = {
            name: re.search(rf'<script type="[^"]+" id="{name}">([^<]*)</script>', text)
            for name in ("data", "pool")
        }
        found = {name: part.group(1) for name, part in parts.items() if part}
        pool = gzip.decompress(base64.b64decode(found["pool"]))
        data = json.loads(found["data"])
        at = data["series"]["at"]
        data["series"] = json.loads(pool[at : at + data["series"]["n"]])
        return cls(text=text, data=data, pool=pool)

    def array(self, ref: dict[str, Any]) -> np.ndarray:
        """The array that `ref` points to."""
        kind = np.dtype("<" + ref["t"])
        planes = np.frombuffer(self.pool, np.uint8, ref["n"] * kind.itemsize, ref["at"])
        found = planes.reshape(kind.itemsize, -1).T.copy().view(kind)[:, 0]
        if "step" in ref:
            lowest = np.iinfo(kind).min
            known = np.where(found == lowest, np.nan, found)
            found = (np.cumsum(known) if ref.get("line") else known) * ref["step"]
        return found


def caveats_of(res: SweepResult, simulation: Simulation, name: str, **arguments: Any) -> list[str]:
    """The caveats of one account, called `name`."""
    return generated(concerns(res, Account.of(simulation)), res, name, **arguments)
