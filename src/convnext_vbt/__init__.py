"""Walk-forward ConvNeXt predictions, confidence-sized trades, honest vectorbt backtests.

Names are loaded on first use (PEP 562), so importing the package is cheap.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__version__ = "0.3.0"

_HOMES = {
    "Bars": "market.bars",
    "Detail": "market.detail",
    "load_bars": "market.sources",
    "download_bars": "market.download",
    "Predictions": "predictions",
    "Split": "predictions",
    "Target": "predictions",
    "Features": "learning.features",
    "compute_features": "learning.features",
    "barrier_labels": "learning.labels",
    "fixed_horizon_labels": "learning.labels",
    "WalkForward": "learning.splits",
    "ConvNeXt1d": "learning.network",
    "ConvNeXtClassifier": "learning.classifier",
    "Instrument": "trading.instruments",
    "Signals": "trading.signals",
    "confidence_signals": "trading.rules",
    "simulate": "trading.portfolio",
    "SweepResult": "trading.sweep",
    "sweep": "trading.sweep",
    "headline": "evidence.headline",
    "plot_confidence": "report.notebook",
    "plot_deciles": "report.notebook",
    "plot_equity": "report.notebook",
    "plot_heatmap": "report.notebook",
    "plot_monthly_returns": "report.notebook",
    "plot_reliability": "report.notebook",
    "plot_rolling_sharpe": "report.notebook",
    "plot_splits": "report.notebook",
    "plot_thresholds": "report.notebook",
    "Judgement": "report.judge",
    "judge": "report.judge",
    "write_report": "report.page",
    "live_session": "live.running",
    "Config": "runs.config",
    "walk_forward": "runs.run",
    "run": "runs.run",
    "open_run": "runs.opened",
    "ConfidenceSignals": "plugin",
    "ConvNeXtProba": "plugin",
}

_MODULES = {"stats": "evidence.stats"}

__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


if "vectorbt" in sys.modules:  # registers df.vbt.convnext; never loads vectorbt by itself
    importlib.import_module(f"{__name__}.plugin")
