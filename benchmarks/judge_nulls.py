"""Whether `cv.judge` is fooled by grids of rules that know nothing, and sees those that know.

Run `python -m benchmarks.judge_nulls [--grids N] [--families NAME ...] [--out F]`. Each grid is 60
columns on two years of hours at 10 bp of fees: 15 moving-average crossings, 15 RSI bands, 15
breakouts and 15 of random entries, their parameters by the seed. Seeds begin at 60,000; nothing was
tuned on them.

- "walk", "garch": no drift (E exp(step) = 1), constant volatility or GARCH(1, 1) with Student's t;
  "+100 %": prices double every year.
- "both sides", "long only"; "long-biased": long but for a twentieth of the time, at random or where
  a rule says so, then short.
- "timed": long while the volatility of some window is below some level, which in a market that
  rises gives a better Sharpe ratio than holding it, without knowing anything of the direction.
- "1 bp": fees of a tenth, so that costs do not help to tell luck.
- "best alone": the column that is best in hindsight, judged by itself with `num_trials=60`.
- "returns": the grid's returns as a frame, its market as the benchmark: cannot PASS by design.
- "edge S, k": k columns of the 60 hold the side of the next day for a day and are right so often
  that their net Sharpe ratio is about S. There a PASS is right: power.

The last line is JSON: PASS of grids by family with one-sided 95 % bounds (Clopper and Pearson).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import vectorbt as vbt
from scipy.stats import beta

import convnext_vbt as cv
from benchmarks.verdict import keep, read_lines

FIRST_SEED = 60_000
HOURS, DAY = 17_520, 24
COLUMNS, EACH = 60, 15
FEES = 0.001
SIGMA = 0.006
GROWTH = np.log(2.0) / 8_760
SHORTS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A market and what is done there."""

    garch: bool = False
    drift: bool = False
    sides: str = "both"
    edge: float = 0.0
    """Net Sharpe ratio of the columns that know."""
    knowing: int = 0
    how: str = "grid"
    fees: float = FEES
    """A side, as a share of the value."""


FAMILIES = {
    f"{market}{' +100 %' if drift else ''}, {name}": Family(garch=garch, drift=drift, sides=sides)
    for market, garch in (("walk", False), ("garch", True))
    for drift in (False, True)
    for name, sides in (("both sides", "both"), ("long only", "long"), ("long-biased", "biased"))
    if sides != "biased" or drift
} | {
    "garch +100 %, timed": Family(garch=True, drift=True, sides="timed"),
    "walk, both sides, 1 bp": Family(fees=0.0001),
    "garch +100 %, long-biased, 1 bp": Family(garch=True, drift=True, sides="biased", fees=0.0001),
    "walk, best alone": Family(how="best"),
    "garch +100 %, long-biased, best alone": Family(
        garch=True, drift=True, sides="biased", how="best"
    ),
    "walk, returns": Family(how="returns"),
    **{
        f"edge {sharpe:g}, {count}": Family(garch=True, edge=sharpe, knowing=count)
        for sharpe in (2.0, 3.0, 4.0)
        for count in (1, 10)
    },
}


def closes(seed: int, family: Family) -> pd.Series:
    """Hourly closes."""
    rng = np.random.default_rng([seed, 0])
    shock = rng.standard_t(6, HOURS) / np.sqrt(1.5) if family.garch else rng.normal(size=HOURS)
    variance = np.empty(HOURS)
    now = SIGMA**2
    for t in range(HOURS if family.garch else 0):
        variance[t] = now
        now = 0.01 * SIGMA**2 + 0.93 * now + 0.06 * now * shock[t] ** 2
    deviation = np.sqrt(variance) if family.garch else np.full(HOURS, SIGMA)
    steps = deviation * shock - deviation**2 / 2 + GROWTH * family.drift
    index = pd.date_range("2021-01-04", periods=HOURS, freq="h")
    return pd.Series(100 * np.exp(np.cumsum(steps)), index, name="close")


def wanted(close: pd.Series, seed: int, sides: str) -> np.ndarray:
    """Exposure of each column from each close on: -1, 0 or 1, (T, 60)."""
    rng = np.random.default_rng([seed, 1])
    if sides == "timed":
        calm = [_calm(close, int(rng.integers(12, 400)), rng.uniform(0.7, 1.3))
                for _ in range(COLUMNS)]  # fmt: skip
        return np.stack(calm, axis=1)
    columns = [
        *(
            _crossing(close, *np.sort(rng.choice(np.arange(6, 400), 2, replace=False)))
            for _ in range(EACH)
        ),
        *(_band(close, int(rng.integers(10, 80)), rng.uniform(25, 42)) for _ in range(EACH)),
        *(_breakout(close, int(rng.integers(12, 240))) for _ in range(EACH)),
        *(_random(rng, int(rng.integers(6, 120))) for _ in range(EACH)),
    ]
    state = np.stack(columns, axis=1)
    if sides == "both":
        return state
    if sides == "long":
        return np.maximum(state, 0.0)
    # Short where the rule has just turned short, for so long that it is a twentieth of the time.
    turned = (state < 0) & (np.vstack([state[:1], state[:-1]]) >= 0)
    hold = np.maximum(1, (SHORTS * len(state) / np.maximum(turned.sum(axis=0), 1)).astype(int))
    out = np.ones_like(state)
    for c, length in enumerate(hold):
        for row in np.flatnonzero(turned[:, c]):
            out[row : row + length, c] = -1.0
    return out


def _crossing(close: pd.Series, fast: int, slow: int) -> np.ndarray:
    gap = close.rolling(fast).mean() - close.rolling(slow).mean()
    return np.sign(gap.fillna(0.0).to_numpy())


def _band(close: pd.Series, window: int, low: float) -> np.ndarray:
    step = close.diff()
    up = step.clip(lower=0).ewm(alpha=1 / window).mean()
    down = (-step).clip(lower=0).ewm(alpha=1 / window).mean()
    rsi = (100 * up / (up + down)).to_numpy()
    event = np.where(rsi < low, 1.0, np.where(rsi > 100 - low, -1.0, np.nan))
    middle = np.append(False, (rsi[1:] > 50) != (rsi[:-1] > 50))
    return _held(np.where(np.isnan(event) & middle, 0.0, event))


def _breakout(close: pd.Series, window: int) -> np.ndarray:
    top, bottom = close.rolling(window).max(), close.rolling(window).min()
    return _held(np.where(close >= top, 1.0, np.where(close <= bottom, -1.0, np.nan)))


def _calm(close: pd.Series, window: int, level: float) -> np.ndarray:
    deviation = np.log(close).diff().ewm(span=window).std()
    return (deviation < level * SIGMA).to_numpy(dtype=np.float64)


def _random(rng: np.random.Generator, hold: int) -> np.ndarray:
    choice = rng.choice([-1.0, 0.0, 1.0], HOURS // hold + 1)
    return np.repeat(choice, hold)[:HOURS]


def _held(event: np.ndarray) -> np.ndarray:
    return pd.Series(event).ffill().fillna(0.0).to_numpy()


def told(close: pd.Series, seed: int, sharpe: float, count: int) -> np.ndarray:
    """Columns that hold a day's side and are right so often that they earn this net."""
    rng = np.random.default_rng([seed, 2])
    days = close.to_numpy()[::DAY]
    ahead = np.diff(np.log(np.append(days, close.iloc[-1])))
    # Turning costs a round trip on every other day; a day's mean size is 0.75 deviations. What
    # the calm days' costs add was measured on seeds 1-24.
    cost = 1.24 * FEES / (SIGMA * np.sqrt(DAY))
    right = 0.5 + (sharpe / np.sqrt(365) + cost) / (2 * 0.752)
    side = np.where(rng.random((len(days), count)) < right, 1.0, -1.0) * np.sign(ahead)[:, None]
    return np.repeat(side, DAY, axis=0)[:HOURS]


def portfolio(close: pd.Series, state: np.ndarray, fees: float = FEES) -> vbt.Portfolio:
    """Orders where the wanted exposure changes, at that close."""
    before = np.vstack([np.zeros(state.shape[1]), state[:-1]])
    size = pd.DataFrame(np.where(state != before, state, np.nan), close.index)
    return vbt.Portfolio.from_orders(close, size, size_type="targetpercent", fees=fees, freq="h")


def run(name: str, seed: int) -> dict[str, Any]:
    """The verdict on one grid."""
    family, started = FAMILIES[name], time.perf_counter()
    close = closes(seed, family)
    state = wanted(close, seed, family.sides)
    if family.knowing:
        state[:, : family.knowing] = told(close, seed, family.edge, family.knowing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pf = portfolio(close, state, family.fees)
        if family.how == "best":
            found = cv.judge(pf.iloc[cv.judge(pf).best.position], num_trials=COLUMNS)
        elif family.how == "returns":
            found = cv.judge(pf.returns(), benchmark=close.pct_change())
        else:
            found = cv.judge(pf)
    return {
        "family": name, "seed": seed, "word": found.verdict.word,
        "unmet": [reason.subject for reason in found.verdict.reasons if not reason.ok],
        "sharpe": found.judged.sharpe, "best": found.best.sharpe,
        "knew": (np.flatnonzero(found.leads) < family.knowing).tolist(),
        "seconds": time.perf_counter() - started,
    }  # fmt: skip


def upper(passed: int, count: int) -> float:
    """One-sided 95 % bound of a share (Clopper and Pearson 1934)."""
    return 1.0 if passed == count else float(beta.ppf(0.95, passed + 1, count - passed))


def lower(passed: int, count: int) -> float:
    """The same from below."""
    return 0.0 if passed == 0 else float(beta.ppf(0.05, passed, count - passed + 1))


def table(records: list[dict[str, Any]]) -> str:
    """Words by family, and which conditions were not met how often (as the only one)."""
    lines = [
        f"{'family':<40}{'n':>5}{'PASS':>6}{'FAIL':>6}  95 % bound  median Sharpe, best  StepM"
    ]
    for name, family in FAMILIES.items():
        own = [record for record in records if record["family"] == name]
        if not own:
            continue
        words = Counter(record["word"] for record in own)
        bound = lower if family.knowing else upper
        found = sum(bool(record["knew"]) for record in own)
        unmet = Counter(subject for record in own for subject in record["unmet"])
        alone = Counter(record["unmet"][0] for record in own if len(record["unmet"]) == 1)
        lines.append(
            f"{name:<40}{len(own):>5}{words['PASS']:>6}{words['FAIL']:>6}"
            f"  {'>=' if family.knowing else '<='} {bound(words['PASS'], len(own)):.3f}"
            f"{np.median([r['sharpe'] for r in own]):>12.2f}"
            f"{np.median([r['best'] for r in own]):>7.2f}{found:>8}"
        )
        listed = ", ".join(f"{key} {n} ({alone[key]})" for key, n in unmet.most_common())
        lines.append(f"    not met (as the only one): {listed or 'none'}")
    return "\n".join(lines)


def main() -> None:
    """Run, print the table, then the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--grids", type=int, default=100, help="of each family")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="first seed")
    parser.add_argument("--quick", action="store_true", help="two grids of each family")
    parser.add_argument("--families", nargs="+", default=[""], help="whose name begins so")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    parser.add_argument("--out", type=Path, help="JSON lines to append to and to go on from")
    options = parser.parse_args()
    names = [name for name in FAMILIES if name.startswith(tuple(options.families))]
    seeds = range(options.first, options.first + (2 if options.quick else options.grids))
    tasks = [(name, seed) for seed in seeds for name in names]
    records = read_lines(options.out, lambda _: True)
    done = {(record["family"], record["seed"]) for record in records}
    tasks = [task for task in tasks if task not in done]
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        pool = joblib.Parallel(n_jobs=options.jobs, return_as="generator_unordered")
        for record in pool(joblib.delayed(run)(name, seed) for name, seed in tasks):
            records.append(record)
            keep(options.out, [record])
    print(table(records))
    passed = {
        name: [sum(r["word"] == "PASS" for r in own), len(own)]
        for name in names
        if (own := [r for r in records if r["family"] == name])
    }
    wrong = [share for name, share in passed.items() if not FAMILIES[name].knowing]
    print(
        json.dumps(
            {
                "worst_false_pass": max((p / n for p, n in wrong), default=None),
                "false_pass": {n: v for n, v in passed.items() if not FAMILIES[n].knowing},
                "power": {n: v for n, v in passed.items() if FAMILIES[n].knowing},
                "seconds": round(sum(r["seconds"] for r in records), 1),
            }
        )
    )


if __name__ == "__main__":
    main()
