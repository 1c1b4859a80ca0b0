"""Walk-forward ConvNeXt predictions, confidence-sized trades, honest vectorbt backtests.

Names are loaded on first use (PEP 562), so importing the package is cheap.
"""

from __future__ import annotations

import importlib
import sys
import warnings
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


def _register() -> None:
    """Load what registers df.vbt.convnext. That it fails is no reason for vectorbt to fail."""
    try:
        importlib.import_module(f"{__name__}.plugin")
    except Exception as error:
        warnings.warn(f"df.vbt.convnext is not there: {error}", ImportWarning, stacklevel=2)


class _AfterVectorbt:
    """Registers the accessor once vectorbt is imported later; never loads it by itself."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        """The spec that others find, whose module is followed by the accessor."""
        if name != "vectorbt":
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((one for one in found if one is not None), None)
        if spec is None or spec.loader is None:
            return spec
        loader, execute = spec.loader, spec.loader.exec_module

        def followed(module: Any) -> None:
            execute(module)
            if cls in sys.meta_path:
                sys.meta_path.remove(cls)
            _register()

        loader.exec_module = followed  # type: ignore[method-assign]
        return spec


if "vectorbt" in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, _AfterVectorbt)
