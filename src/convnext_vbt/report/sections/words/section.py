"""The page's terms in plain words."""

from __future__ import annotations

from convnext_vbt.report.formats import FIGURES
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section

_TERMS = (
    ("Bar", "One step of the price series, such as an hour: open, high, low, close and volume."),
    ("Out of sample", "On bars that the network had never seen when it was trained."),
    ("Walk-forward split",
     ("The network is trained on a stretch of the past and judged on the stretch after it; then "
     "both move on. Every split has a network of its own.")),
    ("Purge, embargo",
     "Bars left out between two ranges, so that no outcome of the one reaches into the other."),
    ("Threshold, such as q0.90",
     ("How sure the network has to be before a trade is entered. 0.55 is a probability; q0.90 is "
     "the confidence that it exceeded on one bar in ten of its calibration range.")),
    ("Risk a trade", "Share of the account that a trade of full size loses at its stop."),
    ("Cell", "One combination of threshold, risk and so on, traded as an account of its own."),
    ("Headline, nested selection",
     ("The one account that could have been had: at every split it follows the rule that had done "
     "best before it. Picking the best cell afterwards is hindsight.")),
    ("Random sides",
     ("Accounts that trade at the same times and sizes, each side by coin. If they do as well, the "
     "network does not know the direction.")),
    ("p-value", "How often luck alone would do as well: under 0.05 counts as a sign of skill."),
    ("90 % interval",
     "Where the true figure may well lie. If it contains 0, the sign itself is not known."),
    ("PBO, probability of backtest overfitting",
     "How often the rule that was best on one half of the days is in the worse half on the other."),
    ("SR0",
     "The Sharpe ratio that the best of that many tries reaches without any skill."),
    ("Underwater, drawdown", "How far the account lies below its own earlier peak."),
    ("Resampled histories",
     ("The same days drawn again in blocks, some twice and some never: how far the path could have "
     "gone by the luck of their order and number alone.")),
    ("Plateau score",
     ("Median Sharpe ratio of the neighbours over that of the best cell: near 1 it is robust, "
     "under 0.7 it is a spike.")),
    ("Confidence, decile",
     "The larger of P(UP) and P(DOWN). Sorted by it, the bars fall into ten groups of equal size."),
    ("MAE, MFE",
     "Maximum adverse and favourable excursion: the worst and the best point of a trade."),
    ("AUC", "Chance that a bar that went UP was given a higher P(UP) than one that did not."),
    ("Log-loss, Brier score",
     ("How wrong the probabilities were; lower is better. A model worth having beats the class "
     "frequencies.")),
    ("ECE", "Expected calibration error: by how much 70 % sure is not 70 % right."),
    ("bp", "Basis point: 0.01 %."),
)  # fmt: skip

GLOSSARY = (*_TERMS, *((figure.label, figure.help) for figure in FIGURES))
"""Terms and key figures with their meaning."""


def content(_: Inputs, __: Pool) -> Content:
    """The same for every result."""
    return Content(context={"glossary": GLOSSARY})


WORDS = Section(name="words", title="Words", content=content)
