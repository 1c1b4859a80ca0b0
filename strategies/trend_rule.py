"""A rule of one's own: trade the network's confidence only in the direction of the trend.

Name it in a strategy file and sweep risk over it:

    [rule]
    file = "strategies/trend_rule.py:with_the_trend"

A rule is a pure function of predictions and bars. Row t may use what is known at the close of
bar t and nothing later; the simulation fills it at the open of bar t+1.
"""

import convnext_vbt as cv


def with_the_trend(preds: cv.Predictions, bars: cv.Bars) -> cv.Signals:
    close = bars.frame("close")
    rising = close > close.ewm(span=168, min_periods=168).mean()  # one week of hours
    confident = preds.confidence_quantile(0.80)  # out of fold, of each split

    up = preds.prob_up > preds.prob_down
    entries = (preds.prob_up >= confident) & up & rising
    short_entries = (preds.prob_down >= confident) & ~up & ~rising
    return cv.Signals.from_frames(
        entries=entries,
        exits=~rising,
        short_entries=short_entries,
        short_exits=rising,
        size=0.5,  # half the full stake, whatever the confidence
    )
