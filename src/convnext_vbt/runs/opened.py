"""A finished run's directory as an object: nothing is trained, what is asked for is read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convnext_vbt.errors import FewTradesWarning, StillPriceWarning
from convnext_vbt.evidence.headline import Headline, deflated, headline_of
from convnext_vbt.market.bars import Bars
from convnext_vbt.predictions import Predictions
from convnext_vbt.runs.config import Config
from convnext_vbt.runs.directory import read_metrics
from convnext_vbt.runs.run import Finished
from convnext_vbt.runs.run import open_run as read_run
from convnext_vbt.runs.strategy import make_sweep
from convnext_vbt.trading.sweep import SweepResult


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OpenedRun(Finished):
    """A finished run; each attribute is read or computed when it is first asked for, then kept.

    Only `metrics` and `report` do without the bars that the run was made from.
    """

    @property
    def config(self) -> Config:
        """The resolved strategy."""
        return self._read[0]

    @property
    def bars(self) -> Bars:
        """The bars that the run was made from, read again from `data.source` and compared."""
        return self._read[1]

    @property
    def predictions(self) -> Predictions:
        """Out of sample, as predictions.parquet keeps them."""
        return self._read[2]

    @cached_property
    def sweep(self) -> SweepResult:
        """The run's own sweep, traded again from its predictions: `portfolio`, `simulation`, ..."""
        with warnings.catch_warnings():  # the run warned of both itself
            warnings.simplefilter("ignore", FewTradesWarning)
            warnings.simplefilter("ignore", StillPriceWarning)
            return make_sweep(*self._read)

    @cached_property
    def headline(self) -> Headline:
        """The headline, its account and the rule of each split, deflated as the run was."""
        head = headline_of(self.sweep, self.config.preset)
        return deflated(head, self.metrics["headline"]["num_trials"])

    @cached_property
    def _read(self) -> tuple[Config, Bars, Predictions]:
        return read_run(self.directory)


def open_run(directory: str | Path) -> OpenedRun:
    """Open the directory of a finished run, such as "reports/btc_hourly-1a2b3c4d".

    Raises `DataError` for one that is not there, not finished or damaged; `bars`, `predictions`,
    `sweep` and `headline` raise it too where the data are no longer those of the run.
    """
    directory = Path(directory)
    return OpenedRun(directory=directory, metrics=read_metrics(directory))
