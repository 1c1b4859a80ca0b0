"""The page's glossary."""

from __future__ import annotations

from convnext_vbt.evidence.selection import How
from convnext_vbt.report.formats import FIGURES
from convnext_vbt.report.inputs import Inputs
from convnext_vbt.report.payload import Pool
from convnext_vbt.report.section import Content, Section

_TERMS = (
    ("Bar", "One step of the price series, such as an hour: open, high, low, close and volume."),
    ("Out of sample", "On bars after those that the network was trained on."),
    ("Walk-forward split",
     ("The network is trained on past bars and tested on later ones; then both ranges move on. "
      "Each split has its own network.")),
    ("Purge, embargo",
     "Bars left out between two ranges, so that no label of the one reaches into the other."),
    ("Threshold, such as q0.90",
     ("Least confidence of an entry. 0.55 is a probability; q0.90 is the 90 % quantile of the "
      "confidence out of fold on the training range.")),
    ("Risk per trade", "Share of the account that a trade of full size loses at its stop."),
    ("Cell", "One combination of threshold, risk and so on, traded as an account of its own."),
    ("Headline", ""),
    ("Random sides",
     ("Accounts with the same times and sizes, each side by coin flip. If they do as well, the "
      "network does not predict direction.")),
    ("Random times",
     ("Accounts with the same positions at random times, on prices without their drift and before "
      "costs. If they do as well, it earns what holding as much at any time earns.")),
    ("Half-spread by which closes bounce",
     ("A last print is half a spread off, at random, and the next bar takes that back. What the "
      "bars surely imply (99 % lower bound; Roll, Abdi and Ranaldo) is the least that a fill "
      "costs.")),
    ("p-value", "How often chance alone does as well; under 0.05 counts as evidence of skill."),
    ("90 % CI", "90 % confidence interval. If it contains 0, the sign is not known."),
    ("PBO, probability of backtest overfitting",
     "How often the best rule on one half of the days is in the worse half of rules on the other."),
    ("SR0", "Sharpe ratio that the best of N trials is expected to reach by chance."),
    ("Drawdown", "Fall of the account below its own earlier peak."),
    ("Bootstrap paths",
     ("The headline’s days resampled in blocks: how far the equity could have gone by chance.")),
    ("Plateau score",
     ("Median Sharpe ratio of the neighbouring cells over that of the best cell: near 1 it is "
      "robust, under 0.7 it is a spike.")),
    ("Confidence, decile",
     "The larger of P(UP) and P(DOWN). Sorted by it, the bars fall into ten groups of equal size."),
    ("MAE, MFE",
     "Maximum adverse and favourable excursion: a trade’s worst and best unrealised return."),
    ("Base rates", "Class frequencies of each split’s training range, known beforehand."),
    ("AUC", "Probability that a bar that went UP has a higher P(UP) than one that did not."),
    ("Log-loss, Brier score",
     "Errors of the probabilities; lower is better. A useful model beats the base rates."),
    ("ECE", "Expected calibration error: mean gap between probability and observed frequency."),
    ("Calibration slope of direction",
     ("Slope of the logistic regression of what came, UP against DOWN, on the claimed log odds "
      "log P(UP) / P(DOWN): 1 is true, below 1 overstated, 0 a coin.")),
    ("Waiting",
     ("No entry on a bar on which neither side is expected to return its costs and rule.min_edge "
      "times as much again. Counted over the bars with a prediction and a known volatility.")),
    ("bp", "Basis point: 0.01 %."),
)  # fmt: skip

_HEADLINES: dict[How, tuple[str, str]] = {
    "nested": (
        "Headline, nested selection",
        "Rules chosen walk-forward: each split trades what did best in the earlier test ranges.",
    ),
    "initial": (
        "Headline, the initial rule",
        "Fixed beforehand: no split had two earlier test ranges with a rule of 30 trades in them.",
    ),
    "fixed": (
        "Headline, one fixed rule",
        "Chosen by you and traded throughout. If you had seen its results, that is hindsight.",
    ),
}

GLOSSARY = (*_TERMS, *((figure.label, figure.help) for figure in FIGURES))
"""Terms and key figures with their meaning."""


def content(inputs: Inputs, _: Pool) -> Content:
    """The same for every result, but for what its headline is."""
    headline = _HEADLINES[inputs.assessment.headline.selection.how]
    terms = [headline if term == "Headline" else (term, text) for term, text in GLOSSARY]
    return Content(context={"glossary": terms})


WORDS = Section(name="words", title="Glossary", content=content)
