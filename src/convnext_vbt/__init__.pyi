"""The public names with their types; `__init__.py` loads the same ones on first use."""

from convnext_vbt.evidence import stats as stats
from convnext_vbt.evidence.headline import headline as headline
from convnext_vbt.learning.classifier import ConvNeXtClassifier as ConvNeXtClassifier
from convnext_vbt.learning.features import Features as Features
from convnext_vbt.learning.features import compute_features as compute_features
from convnext_vbt.learning.labels import barrier_labels as barrier_labels
from convnext_vbt.learning.labels import fixed_horizon_labels as fixed_horizon_labels
from convnext_vbt.learning.network import ConvNeXt1d as ConvNeXt1d
from convnext_vbt.learning.splits import WalkForward as WalkForward
from convnext_vbt.live.running import live_session as live_session
from convnext_vbt.market.bars import Bars as Bars
from convnext_vbt.market.detail import Detail as Detail
from convnext_vbt.market.download import download_bars as download_bars
from convnext_vbt.market.sources import load_bars as load_bars
from convnext_vbt.plugin import ConfidenceSignals as ConfidenceSignals
from convnext_vbt.plugin import ConvNeXtProba as ConvNeXtProba
from convnext_vbt.predictions import Predictions as Predictions
from convnext_vbt.predictions import Split as Split
from convnext_vbt.predictions import Target as Target
from convnext_vbt.report.judge import Judgement as Judgement
from convnext_vbt.report.judge import judge as judge
from convnext_vbt.report.notebook import plot_confidence as plot_confidence
from convnext_vbt.report.notebook import plot_deciles as plot_deciles
from convnext_vbt.report.notebook import plot_equity as plot_equity
from convnext_vbt.report.notebook import plot_heatmap as plot_heatmap
from convnext_vbt.report.notebook import plot_monthly_returns as plot_monthly_returns
from convnext_vbt.report.notebook import plot_reliability as plot_reliability
from convnext_vbt.report.notebook import plot_rolling_sharpe as plot_rolling_sharpe
from convnext_vbt.report.notebook import plot_splits as plot_splits
from convnext_vbt.report.notebook import plot_thresholds as plot_thresholds
from convnext_vbt.report.page import write_report as write_report
from convnext_vbt.runs.config import Config as Config
from convnext_vbt.runs.opened import open_run as open_run
from convnext_vbt.runs.run import run as run
from convnext_vbt.runs.run import walk_forward as walk_forward
from convnext_vbt.trading.instruments import Instrument as Instrument
from convnext_vbt.trading.portfolio import simulate as simulate
from convnext_vbt.trading.rules import confidence_signals as confidence_signals
from convnext_vbt.trading.signals import Signals as Signals
from convnext_vbt.trading.sweep import SweepResult as SweepResult
from convnext_vbt.trading.sweep import sweep as sweep

__version__: str
__all__: list[str]
