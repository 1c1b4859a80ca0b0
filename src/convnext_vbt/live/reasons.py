"""Why a decision is what it is, in plain words and with the numbers that it turned on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from convnext_vbt.live.account import Resting
from convnext_vbt.live.entry import WORDS, Entry
from convnext_vbt.predictions import DOWN, QUANTILE_LEVELS, UP, Predictions, Target
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.rules import RuleConfig, Threshold, parse_threshold


def confidence_reasons(
    preds: Predictions, n: int, rule: RuleConfig, levels: Mapping[str, Any], side: int
) -> list[str]:
    """What the confidence rule saw at the one bar of `preds` in symbol n, being on `side`."""
    up, down = float(preds.proba[0, n, UP]), float(preds.proba[0, n, DOWN])
    threshold = levels["threshold"]
    short = threshold if rule.short_threshold is None else rule.short_threshold
    theta, theta_down = _value(preds, n, threshold), _value(preds, n, short)
    said = [_confidence(preds, n, max(up, down), "UP" if up >= down else "DOWN")]
    if up >= theta and up > down:
        said.append(f"P(UP) {up:.3f} reaches the threshold, {_threshold(theta, threshold)}")
    elif down >= theta_down and down > up:
        off = "" if rule.short else "; shorts are off, so it only ends a long"
        said.append(
            f"P(DOWN) {down:.3f} reaches the threshold, {_threshold(theta_down, short)}{off}"
        )
    else:
        each = f"P(UP) {up:.3f} and P(DOWN) {down:.3f}"
        at = _threshold(theta, threshold)
        if rule.short_threshold is not None:
            at += f" for UP and {_threshold(theta_down, short)} for DOWN"
        said.append(f"{each} stay under the threshold, {at}" if up != down else f"{each} tie")
    if side and rule.exit == "bracket":
        own, level = (up, theta) if side > 0 else (down, theta_down)
        leave = level - float(levels.get("hysteresis", rule.hysteresis))
        state = "is not under" if own >= np.float32(leave) else "fell under"
        word = "UP" if side > 0 else "DOWN"
        said.append(f"a {WORDS[side]} ends under P({word}) {leave:.3f}: {own:.3f} {state} it")
    if rule.abstain is not None:
        both = preds.conformal_sets(rule.abstain)[0, n, [DOWN, UP]]
        if both[0] == both[1]:
            what = "both UP and DOWN" if both[0] else "neither UP nor DOWN"
            said.append(f"no entry: the conformal set of {rule.abstain:.0%} holds {what}")
    return said


def worth_reason(side: int, gross: float, min_edge: float, costs: float) -> str:
    """Whether the better side's expected return is worth its costs, a round trip of `costs`."""
    net, asked = f"{gross - costs:.2%} after costs", f"{min_edge:g} x the round trip of {costs:.2%}"
    enough = gross >= (1.0 + min_edge) * costs
    word = f"at least {asked}" if enough else f"below {asked}: wait"
    return f"a {WORDS[side]} is expected to return {gross:.2%}, {net}, {word}"


def edge_exit_reason(side: int, gross: float) -> str:
    """Whether a position's edge lasts."""
    state = "it has turned" if gross < 0 else "it lasts"
    return f"a {WORDS[side]} is held while its expected return is not under 0: {gross:.2%}, {state}"


def size_reasons(entry: Entry, share: float, risk: float) -> list[str]:
    """How an entry came to its size; `share` is what the rule gives of the full stake."""
    said = [f"it earns {share:.0%} of the full stake: {share * risk:.2%} of the equity at risk"]
    if entry.capped:
        said.append("a cap, of leverage or of open risk, keeps it smaller than that")
    return said


def order_reasons(entry: Entry, config: SimulationConfig) -> list[str]:
    """What an entry's order and its exits are, beyond one stop and one take-profit."""
    said = []
    if config.limit_offset is not None:
        said.append(
            f"it is a limit order, {config.limit_offset:.2%} from the signal's close: filled where "
            "a bar trades through it"
        )
        said.append("while it rests nothing else is entered; an exit or the other side cancels it")
    if config.take_profit_ladder and entry.take_profit_distance is not None:
        unit = entry.take_profit_distance / config.take_profit_ladder[0][0]
        steps = ", ".join(
            f"{share:.0%} of it {multiple * unit:.2%} away"
            for multiple, share in config.take_profit_ladder
        )
        said.append(f"profit is taken in steps: {steps}")
    if config.trail != "none":
        said.append(f"the stop follows each bar's {config.trail} at its distance, never back")
    if config.break_even is not None:
        gain = config.break_even * entry.stop_distance
        said.append(f"a gain of {gain:.2%} moves the stop to where the trade makes nothing")
    if config.leave_at is not None:
        said.append(f"nothing is held from {config.leave_at} on")
    return said


def rest_reason(order: Resting, said: str) -> str:
    """That an entry rests already."""
    return f"the {order.name} of {said} rests already: do not place it again"


def cancel_reason(order: Resting) -> str:
    """Why an entry that rested is taken back."""
    word = WORDS[order.side]
    return f"the {order.name} is over: its {word} is not wanted any more at the next open"


def volatility_reason(width: float, target: Target) -> str:
    """What a stop of `width`, the label's own barrier, says of the market."""
    return (
        f"volatility: over {target.horizon} bars the price moves by about {width:.2%}; "
        "the stop is a multiple of it"
    )


def own_rule_reason(file: str, signals: Mapping[str, Any]) -> str:
    """What a rule of the user's own says."""
    on = [name.replace("_", " ") for name, value in signals.items() if value is True]
    size = f", size {signals['size']:g}" if signals["size"] else ""
    return f"the rule {file} signals {', '.join(on) or 'nothing'}{size}"


def _confidence(preds: Predictions, n: int, confidence: float, word: str) -> str:
    """How rare a confidence is, by the training range of the bar's own split, out of fold."""
    text = f"the likelier side is {word}, {confidence:.3f}"
    if preds.quantiles is None:
        return text
    numbers = [split.number for split in preds.splits]
    row = preds.quantiles[numbers.index(int(preds.split[0, n]))]
    below = QUANTILE_LEVELS[min(int(np.searchsorted(row, confidence)), len(row) - 1)]
    return f"{text}: surer than on {below:.0%} of the training range, out of fold"


def _value(preds: Predictions, n: int, threshold: Threshold) -> float:
    kind, value = parse_threshold(threshold)
    return float(preds.confidence_quantile(value)[0, n]) if kind == "quantile" else value


def _threshold(value: float, threshold: Threshold) -> str:
    return f"{value:.3f} ({threshold})" if isinstance(threshold, str) else f"{value:.3f}"
