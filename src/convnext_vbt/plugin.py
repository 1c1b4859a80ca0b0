"""The vectorbt face: `vbt.convnext` of frames, series and portfolios, two vectorbt indicators.

Importing this module registers the accessors; `import convnext_vbt` and `import vectorbt`, in
either order, do so by themselves. Dimensions: T bars, N symbols, S parameter combinations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from vectorbt.generic.accessors import GenericDFAccessor, GenericSRAccessor
from vectorbt.indicators.factory import IndicatorFactory
from vectorbt.portfolio.base import Portfolio
from vectorbt.root_accessors import (
    register_dataframe_vbt_accessor,
    register_series_vbt_accessor,
)

from convnext_vbt.errors import InputError, InputTypeError
from convnext_vbt.market.bars import FIELDS, Bars
from convnext_vbt.predictions import DOWN, STAY, UP, Predictions
from convnext_vbt.trading.codes import ENTER
from convnext_vbt.trading.confidence import apply_rules_nb
from convnext_vbt.trading.rules import (
    FULL_WITHOUT_QUANTILES,
    RULE_DEFAULTS,
    RuleConfig,
    Threshold,
    full_values,
    threshold_values,
)
from convnext_vbt.trading.signals import LEVEL_BITS, LEVELS, unpacked

if TYPE_CHECKING:  # torch takes seconds to load, and `import vectorbt` loads this file
    from convnext_vbt.report.judge import Judgement
    from convnext_vbt.runs.config import Config

_OUTPUTS = [*LEVELS, "size"]


@register_dataframe_vbt_accessor("convnext")
class ConvNeXtAccessor(GenericDFAccessor):  # type: ignore[misc]
    """`ohlcv.vbt.convnext`: a frame with open, high, low, close columns (any case), maybe volume.

    Example:
        preds = ohlcv.vbt.convnext.walk_forward()
        bars = ohlcv.vbt.convnext.bars("BTC/USDT")
    """

    def bars(self, symbol: str = "asset") -> Bars:
        """The frame as validated `Bars`; its index holds UTC open times."""
        return Bars.from_frame(self.obj, symbol=symbol)

    def walk_forward(
        self,
        config: Config | Mapping[str, Any] | str | Path | None = None,
        *,
        symbol: str = "asset",
        directory: str | Path | None = None,
        jobs: int | None = None,
    ) -> Predictions:
        """Out-of-sample predictions of these bars: `convnext_vbt.walk_forward`."""
        from convnext_vbt.runs.run import walk_forward

        return walk_forward(self.bars(symbol), config, directory=directory, jobs=jobs)

    def judge(
        self,
        *,
        num_trials: int | None = None,
        benchmark: pd.Series | None = None,
        seed: int = 0,
        title: str = "",
    ) -> Judgement:
        """The verdict on a frame of periodic returns: `convnext_vbt.judge`."""
        from convnext_vbt.report.judge import judge

        return judge(self.obj, num_trials=num_trials, benchmark=benchmark, seed=seed, title=title)


@register_series_vbt_accessor("convnext")
class ReturnsAccessor(GenericSRAccessor):  # type: ignore[misc]
    """`returns.vbt.convnext`: a series of periodic returns."""

    def judge(
        self,
        *,
        num_trials: int | None = None,
        benchmark: pd.Series | None = None,
        seed: int = 0,
        title: str = "",
    ) -> Judgement:
        """The verdict on it: `convnext_vbt.judge`."""
        from convnext_vbt.report.judge import judge

        return judge(self.obj, num_trials=num_trials, benchmark=benchmark, seed=seed, title=title)


@dataclass(frozen=True, slots=True)
class PortfolioAccessor:
    """`pf.vbt.convnext`: a portfolio. vectorbt gives none a `vbt` of its own."""

    portfolio: Portfolio

    @property
    def convnext(self) -> PortfolioAccessor:
        """What this package adds."""
        return self

    def judge(
        self,
        *,
        num_trials: int | None = None,
        benchmark: pd.Series | None = None,
        slippage: float | None = None,
        seed: int = 0,
        title: str = "",
    ) -> Judgement:
        """The verdict on it: `convnext_vbt.judge`."""
        from convnext_vbt.report.judge import judge

        return judge(
            self.portfolio, num_trials=num_trials, benchmark=benchmark, slippage=slippage,
            seed=seed, title=title,
        )  # fmt: skip


if not hasattr(Portfolio, "vbt"):  # nor do we hide one that a later vectorbt may bring
    Portfolio.vbt = property(PortfolioAccessor)


def _confidence(
    prob_up: np.ndarray,
    prob_down: np.ndarray,
    threshold: Threshold,
    hysteresis: float,
    short: bool,
    floor: float,
    full: Threshold,
    preds: Predictions | None = None,
) -> tuple[np.ndarray, ...]:
    """The rule at one combination; `preds` tell what a quantile is, and are None of mere frames."""
    up, down = (np.array(p.T, dtype=np.float32, order="C") for p in (prob_up, prob_down))
    num, value_NT = len(up), np.zeros(up.shape, dtype=np.int64)
    if preds is None:
        for name, level in (("threshold", threshold), ("full", full)):
            _refuse_quantile(name, level)
        level_F, full_F = (np.array([one], dtype=np.float32) for one in (threshold, full))
    else:
        value_NT = np.ascontiguousarray(preds.split_position.T)
        level_F = threshold_values(preds, threshold, "threshold")
        full_F = full_values(preds, RuleConfig(full=full))
    level_NF, gap = np.tile(level_F, (num, 1)), np.full(num, hysteresis, np.float32)
    codes, sizes = np.empty(up.shape, dtype=np.uint8), np.empty(up.shape)
    apply_rules_nb(
        up, down, np.full((1, *up.shape), ENTER, dtype=np.uint8), value_NT, np.arange(num),
        level_NF, level_NF, gap, np.zeros(num, dtype=np.int64), full_F, float(floor),
        bool(short), LEVEL_BITS, codes, sizes,
    )  # fmt: skip
    return (*unpacked(codes).values(), sizes.T)


def _refuse_quantile(name: str, level: Threshold) -> None:
    if isinstance(level, str):
        raise InputError(
            f"{name} = {level!r}: frames do not tell what a quantile is; give the predictions "
            'themselves, ConfidenceSignals.run(preds, threshold="q0.90"), or a probability'
        )


_ConfidenceIndicator = IndicatorFactory(
    class_name="ConfidenceSignals",
    module_name=__name__,
    short_name="confidence",
    input_names=["prob_up", "prob_down"],
    param_names=["threshold", "hysteresis", "short", "floor", "full"],
    output_names=_OUTPUTS,
).from_apply_func(
    _confidence,
    hysteresis=RULE_DEFAULTS.hysteresis,
    short=RULE_DEFAULTS.short,
    floor=RULE_DEFAULTS.floor,
    full=FULL_WITHOUT_QUANTILES,
    hide_default=True,
)


class ConfidenceSignals(_ConfidenceIndicator):  # type: ignore[misc, valid-type]
    """The confidence rule as a vectorbt indicator; see `confidence_signals`.

    Probabilities are inputs, computed once, and thresholds are parameters, so that a sweep never
    computes a prediction again: `ConfidenceSignals.run(preds, threshold=["q0.90", 0.5])`, or
    `ConfidenceSignals.run(prob_up, prob_down, threshold=[0.5, 0.6])` of mere frames, which have no
    quantiles. Row t of the outputs is known at the close of bar t; fill it at the next open, as
    `convnext_vbt.simulate` does.
    """

    @classmethod
    def run(
        cls,
        prob_up: Predictions | pd.DataFrame | pd.Series,
        prob_down: pd.DataFrame | pd.Series | None = None,
        threshold: Threshold | Sequence[Threshold] = RULE_DEFAULTS.threshold,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Outputs entries, exits, short_entries, short_exits and size, one column a combination.

        Predictions are given alone; their `full` is "q0.99" by default, or 0.80 without quantiles.
        Other arguments are vectorbt's: hysteresis, short, floor, full, param_product, ...
        """
        if isinstance(prob_up, Predictions):
            if prob_down is not None:
                raise InputTypeError("give predictions alone, or prob_up and prob_down as frames")
            given = {"full": RULE_DEFAULTS.full, "preds": prob_up} | kwargs
            up, down = prob_up.prob_up, prob_up.prob_down
            return super().run(up, down, threshold, *args, **given)
        if prob_down is None:
            raise InputTypeError("prob_down is missing; give it beside prob_up, or Predictions")
        return super().run(prob_up, prob_down, threshold, *args, **kwargs)


def _probabilities(
    *fields: np.ndarray,
    index: pd.DatetimeIndex,
    config: Config | Mapping[str, Any] | str | Path | None,
    directory: str | Path | None,
    jobs: int | None,
) -> tuple[np.ndarray, ...]:
    frames = {
        str(n): pd.DataFrame(
            {name: values[:, n] for name, values in zip(FIELDS, fields, strict=True)}, index=index
        )
        for n in range(fields[0].shape[1])
    }
    from convnext_vbt.runs.run import walk_forward

    made = walk_forward(Bars.from_frames(frames), config, directory=directory, jobs=jobs)
    return tuple(made.proba[:, :, k].astype(np.float64) for k in (DOWN, STAY, UP))


_ProbaIndicator = IndicatorFactory(
    class_name="ConvNeXtProba",
    module_name=__name__,
    short_name="convnext",
    input_names=list(FIELDS),
    param_names=[],
    output_names=["prob_down", "prob_stay", "prob_up"],
).from_apply_func(_probabilities)


class ConvNeXtProba(_ProbaIndicator):  # type: ignore[misc, valid-type]
    """Walk-forward probabilities as a vectorbt indicator: prob_down, prob_stay, prob_up.

    Each is a (T, N) frame, NaN where there is no out-of-sample prediction. Feed them to
    `ConfidenceSignals`; they are computed once, whatever is swept afterwards.
    """

    @classmethod
    def run(
        cls,
        open: pd.DataFrame | pd.Series,  # noqa: A002 - vectorbt's and the market's word
        high: pd.DataFrame | pd.Series,
        low: pd.DataFrame | pd.Series,
        close: pd.DataFrame | pd.Series,
        volume: pd.DataFrame | pd.Series | None = None,
        *,
        config: Config | Mapping[str, Any] | str | Path | None = None,
        directory: str | Path | None = None,
        jobs: int | None = None,
    ) -> Any:
        """Walk forward over bars with UTC open times; keywords as in `walk_forward`.

        Without a `volume` features that need one are left out.
        """
        if volume is None:
            volume = close * np.nan
        return super().run(
            open, high, low, close, volume,
            index=open.index, config=config, directory=directory, jobs=jobs,
        )  # fmt: skip
