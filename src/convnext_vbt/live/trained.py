"""A finished run as live decisions need it: networks, chosen rules, what the backtest said.

Dimensions: T bars, N symbols, K = 3 classes.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from convnext_vbt.errors import DataError, InputError, NetworkTooOldError
from convnext_vbt.learning.features import Features
from convnext_vbt.learning.fitting import FittedSplit, predict_last, predict_range
from convnext_vbt.learning.spans import Span, span_text
from convnext_vbt.learning.splitcache import KeptSplit, read_split
from convnext_vbt.learning.walkforward import fit_alone
from convnext_vbt.live.clock import when
from convnext_vbt.market.bars import Bars, step_text
from convnext_vbt.market.volatility import decay_warmup
from convnext_vbt.predictions import Predictions, Split
from convnext_vbt.runs.config import OWN_CODE, Config
from convnext_vbt.runs.directory import read_config, read_manifest, read_metrics
from convnext_vbt.runs.run import open_run
from convnext_vbt.runs.strategy import make_features, make_labels
from convnext_vbt.user_code import code_sha256

logger = logging.getLogger("convnext_vbt")

AGREEMENT, AGREEMENT_OF_DEVICES = 1e-4, 1e-3
"""Probabilities that differ by more are not the backtest's; a GPU's may differ from a CPU's."""
NO_RULE_LEVELS = ("split", "sharpe", "trades", "candidates", "reason")
YEAR = pd.Timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A run whose files belong together; see `open_trained`."""

    directory: Path
    config: Config
    predictions: Predictions
    """The backtest's."""
    step: str
    verdict: str
    choices: Mapping[int, Mapping[str, Any]]
    """What nested selection chose for each split, by number."""
    _kept: dict[int, KeptSplit] = field(default_factory=dict)

    def kept(self, split: Split) -> KeptSplit:
        """The networks of a split, read once."""
        if split.number not in self._kept:
            try:
                kept = read_split(self.directory / "splits", split.number, self.config.model)
                if kept.fitted.predictor is None:
                    kept = replace(kept, fitted=self._fitted_again(split), device="cpu")
                kept = replace(kept, fitted=self._calibrated(kept.fitted, split))
            except InputError as error:
                raise DataError(
                    f"split {split.number + 1} of {self.directory} cannot decide live: {error}; "
                    "run the strategy again"
                ) from error
            self._kept[split.number] = kept
        return self._kept[split.number]

    def _fitted_again(self, split: Split) -> FittedSplit:
        """A split whose model could not be kept, from the bars that the run was made from."""
        logger.warning(
            "%s: split %d was not kept and is fitted again",
            self.config.model.file,
            split.number + 1,
        )
        config, bars, _ = open_run(self.directory)
        return fit_alone(
            make_features(config, bars),
            make_labels(config, bars),
            split,
            model=config.model,
            training=config.training,
            seed=config.seed,
        )

    def _calibrated(self, fitted: FittedSplit, split: Split) -> FittedSplit:
        """With the slopes that the backtest learned for the split from those before it."""
        place = self.predictions.splits.index(split)
        return replace(fitted, fit=self.predictions.fits[place])

    def rule(self, split: Split) -> dict[str, Any]:
        """Levels of the rule that the headline trades in a split's test range."""
        choice = self.choices.get(split.number)
        if choice is None:
            raise DataError(f"nothing was traded in split {split.number + 1}: no rule is chosen")
        return {name: value for name, value in choice.items() if name not in NO_RULE_LEVELS}

    def split_of(self, bars: Bars) -> Split:
        """The split whose test range the last bar belongs to, as the backtest would have it.

        After the backtest's end that is the last split, for as long as its test range would last.
        Raises `DataError` before the first test range, `NetworkTooOldError` after the last.
        """
        known, splits, now = self.predictions.index, self.predictions.splits, bars.index[-1]
        if now <= known[-1]:
            row = int(known.searchsorted(now, side="right")) - 1
            for split in splits:
                if split.test[0] <= row < split.test[1]:
                    return split
            raise DataError(
                f"the backtest has no prediction at {when(now)}: its first test range begins "
                f"{when(known[splits[0].test[0]])}"
            )
        length, tested = self.config.splits.test_span(known), known[splits[-1].test[0] :]
        age: Span
        if isinstance(length, int):
            age = _bars_since(tested, bars)
            outlived = age > length
        else:
            age = now - tested[0]
            outlived = age >= length
        if outlived:
            raise NetworkTooOldError(
                f"the newest network is {span_text(age)} old at {when(now)} and was tested over "
                f"{span_text(length)} (splits.test): run the strategy again to train the next one"
            )
        return splits[-1]

    def too_short(self, kept: KeptSplit, num_bars: int) -> str:
        """Why there is no decision on so few bars."""
        return (
            f"{num_bars:,} {'bar is' if num_bars == 1 else 'bars are'} there and "
            f"{self.history(kept):,} are needed (warm-up of the "
            f"features {kept.warmup:,}, receptive field {kept.fitted.receptive_field:,}); load "
            "more history"
        )

    def history(self, kept: KeptSplit) -> int:
        """Bars of a symbol that a decision needs: warm-up, receptive field, volatility's own."""
        config, labels = self.config, self.config.labels
        asked = config.rule.exit == "edge" or config.rule.min_edge is not None
        is_read = config.trading.stop is None or asked or config.sweep.min_edge is not None
        volatility = decay_warmup(0.5 ** (1 / labels.halflife)) if is_read else 0
        return max(kept.warmup + kept.fitted.receptive_field, volatility + 2)


def open_trained(directory: str | Path) -> Trained:
    """Read a finished run; raises `DataError` when it is none, is damaged or has changed."""
    directory = Path(directory)
    manifest, metrics = read_manifest(directory), read_metrics(directory)
    config = read_config(directory)
    if config.sha256 != manifest["config_sha256"]:
        raise DataError(
            f"{directory / 'config.toml'} is not the strategy that the run was made with: it was "
            "edited, or this version has settings that it lacks; run the strategy again"
        )
    for section, key in OWN_CODE:
        what, name = getattr(getattr(config, section), key), section if key == "file" else key
        if what is not None and code_sha256(what) != manifest.get(f"{name}_code"):
            raise DataError(
                f"{what} ([{section}] {key}) is not what {directory} was made with; "
                "run the strategy again"
            )
    try:
        predictions = Predictions.load(directory / "predictions.parquet")
    except InputError as error:
        raise DataError(str(error)) from error
    return Trained(
        directory=directory,
        config=config,
        predictions=predictions,
        step=manifest["data"]["step"],
        verdict=metrics["verdict"]["word"],
        choices={choice["split"]: choice for choice in metrics["headline"]["choices"]},
    )


def same_market(trained: Trained, bars: Bars, symbol: str | None = None) -> Bars:
    """The bars under the names that the run knows them by.

    `symbol` says that the only symbol of the bars is this one of the run's. Raises `DataError` for
    other symbols or another spacing than the run was trained on.
    """
    known = trained.predictions.symbols
    if step_text(bars.step) != trained.step:
        raise DataError(
            f"the run was trained on bars of {trained.step}, these are of {step_text(bars.step)}; "
            "give --data of the same spacing"
        )
    if symbol is not None:
        if len(bars.symbols) > 1 or known != (symbol,):
            raise DataError(
                f"--symbol {symbol} cannot name {', '.join(bars.symbols)}: it is for a run and "
                f"bars of one symbol each, and this run's is {', '.join(known)}"
            )
        return replace(bars, symbols=(symbol,))
    if bars.symbols != known:
        remedy = f"; if they are the same market, say --symbol {known[0]}" * (len(known) == 1)
        raise DataError(
            f"the run was trained on {', '.join(known)}, these bars are of "
            f"{', '.join(bars.symbols)}{remedy}"
        )
    return bars


def recent(bars: Bars, count: int) -> Bars:
    """The last bars in which every symbol has its last `count`, or all it has."""
    behind_TN = np.cumsum(bars.present[::-1], axis=0)
    reach = np.where(behind_TN[-1] >= count, (behind_TN >= count).argmax(axis=0), len(bars) - 1)
    return bars.rows(len(bars) - 1 - int(reach.max()), len(bars))


def features_of(trained: Trained, kept: KeptSplit, bars: Bars) -> Features:
    """The features of the last bars; raises `DataError` if they are not those of training."""
    features = make_features(trained.config, bars)
    if (features.names, features.warmup) != (kept.features, kept.warmup):
        raise DataError(
            f"the features are {_listed(features)}; the network was trained on "
            f"{len(kept.features)} with a warm-up of {kept.warmup}: {', '.join(kept.features)}; "
            "run the strategy again"
        )
    return features


def predict_now(trained: Trained, split: Split, bars: Bars) -> np.ndarray:
    """Probabilities at the last bar, float32 (N, K); NaN just where the backtest would have it.

    Only as much history is read as a decision needs. Raises `DataError` where no symbol has that.
    """
    kept = trained.kept(split)
    # a primary of the user's own may look back on all there is
    cut = bars if trained.config.model.primary else recent(bars, trained.history(kept))
    if (longest := int(cut.present.sum(axis=0).max())) <= kept.warmup:
        raise DataError(trained.too_short(kept, longest))
    with _one_thread():
        return predict_last(kept.fitted, features_of(trained, kept, cut))


def predict_since(trained: Trained, split: Split, bars: Bars) -> Predictions:
    """Predictions at all these bars, for a rule of the user's own: the backtest's, then our own.

    The backtest's are taken where there are any but at the last bar; all bars after them are
    predicted by the network of `split`.
    """
    kept, known = trained.kept(split), trained.predictions
    rows = known.index.get_indexer(bars.index[:-1])
    here = np.flatnonzero(rows >= 0)
    shape = (len(bars), len(bars.symbols))
    proba_TNK = np.full((*shape, 3), np.nan, dtype=np.float32)
    split_TN = np.full(shape, -1, dtype=np.int16)
    proba_TNK[here], split_TN[here] = known.proba[rows[here]], known.split[rows[here]]
    first = min(int(bars.index.searchsorted(known.index[-1], side="right")), len(bars) - 1)
    with _one_thread():
        made = predict_range(kept.fitted, features_of(trained, kept, bars), first, len(bars))
    proba_TNK[first:] = made
    split_TN[first:] = np.where(np.isfinite(made).all(axis=2), split.number, -1)
    return replace(known, index=bars.index, proba=proba_TNK, split=split_TN, members=())


def one_bar(trained: Trained, split: Split, bars: Bars, proba_NK: np.ndarray) -> Predictions:
    """The probabilities at the last bar as `Predictions` of that bar alone."""
    made = np.isfinite(proba_NK).all(axis=1)
    return replace(
        trained.predictions,
        index=bars.index[-1:],
        proba=proba_NK[None],
        split=np.where(made, split.number, -1)[None],
        members=(),
    )


def difference_from_backtest(trained: Trained, bars: Bars) -> float | None:
    """How far the probabilities at the last bar that the backtest has too lie from the backtest's.

    None where the bars do not reach back so far, and where some of the backtest's are missing in
    what a decision reads: then other probabilities are no wonder. A symbol of which some are
    missing is left out. Raises `DataError` when they differ by more than rounding: bars were
    revised, or features have changed since.
    """
    known = trained.predictions
    rows_T = known.index.get_indexer(bars.index)
    common = np.flatnonzero((rows_T >= 0) & (known.split[rows_T] >= 0).any(axis=1))
    if not len(common):
        return None
    row = int(rows_T[common[-1]])
    split = next(s for s in known.splits if s.test[0] <= row < s.test[1])
    past = bars.rows(0, int(common[-1]) + 1)
    history = trained.history(trained.kept(split))
    first = int(known.index.searchsorted(recent(past, history).index[0]))
    rows = past.index.get_indexer(known.index[first : row + 1])
    if (rows < 0).any():
        return None
    lost_TN = (known.split[first : row + 1] >= 0) & ~past.present[rows]
    enough_N = (
        (past.present.sum(axis=0) >= history) & (known.split[row] >= 0) & ~lost_TN.any(axis=0)
    )
    if not enough_N.any():
        return None
    then, now = known.proba[row][enough_N], predict_now(trained, split, past)[enough_N]
    difference = float(np.abs(then - now).max())
    on_cpu = trained.kept(split).device == "cpu"
    if difference <= (AGREEMENT if on_cpu else AGREEMENT_OF_DEVICES):  # and not NaN
        return difference
    raise DataError(
        f"at {when(past.index[-1])} the backtest said {_said(then)} (DOWN, STAY, UP), but these "
        f"bars give {_said(now)}: the bars were revised, or the features have changed since; "
        "run the strategy again"
    )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread, as in training: the same sums, and the fastest for one window."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bars_since(tested: pd.DatetimeIndex, bars: Bars) -> int:
    """Bars from the start of the last test range to the last of `bars`, that one included.

    Where `bars` begin only after the run's end, those between are counted by the clock.
    """
    before = int((tested < bars.index[0]).sum())
    here = int((bars.index >= tested[0]).sum())
    unseen = max(bars.index[0] - tested[-1] - bars.step, pd.Timedelta(0))
    return before + here + round(unseen / YEAR * bars.bars_per_year)


def _listed(features: Features) -> str:
    return f"{len(features.names)} with a warm-up of {features.warmup}: {', '.join(features.names)}"


def _said(proba_NK: np.ndarray) -> str:
    return "; ".join(" ".join(f"{p:.3f}" for p in row) for row in proba_NK)
