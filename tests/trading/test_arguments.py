"""A number that is none is refused by the name of its argument, wherever one is asked for."""

import numpy as np
import pytest

import convnext_vbt as cv
from convnext_vbt.errors import InputError
from convnext_vbt.trading.arguments import as_list, as_numbers
from tests.trading.markets import random_bars, random_predictions

BARS = random_bars(num_bars=120, seed=0)
PREDS = random_predictions(BARS, seed=1, start=20)
LISTS = ("risk", "stop_multiple", "take_profit_multiple", "hysteresis", "min_edge")
MONEY = ("fees", "slippage", "max_leverage", "max_open_risk", "init_cash")
OPTIONAL = ("stop", "take_profit", "max_holding")
NO_NUMBERS = ("a", True, np.nan, [0.5], b"1")


def refuse(call, name, value, *, what="must be a number, got"):
    with pytest.raises(InputError, match=rf"^{name} {what}"):
        call(**{name: value})


def sweep(**arguments):
    return cv.sweep(BARS, PREDS, **({"threshold": 0.4} | arguments))


def signals(**arguments):
    return cv.confidence_signals(PREDS, BARS, **({"threshold": 0.4} | arguments))


def simulate(**arguments):
    return cv.simulate(BARS, cv.Signals.from_frames(entries=PREDS.prob_up > 0.4), **arguments)


@pytest.mark.parametrize("value", ["a", True, np.nan, b"1", ["a"], [0.5, True], [0.5, np.nan]])
def test_a_list_holds_numbers_alone(value):
    what = "must be (a number, got|one value or a flat list)"
    for name in LISTS:
        refuse(sweep, name, value, what=what)
    for name in ("hysteresis", "min_edge"):
        refuse(signals, name, value, what=what)


def test_none_is_a_least_edge_by_itself_and_nothing_else():
    for name in (*LISTS, *MONEY, "floor"):
        if name != "min_edge":
            refuse(sweep, name, None)
        refuse(sweep, name, [None, 0.5])
    assert as_numbers("min_edge", None, optional=True) == [None]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_number_by_itself_is_one(value):
    for name in ("floor", "abstain", "reference_risk", *MONEY, *OPTIONAL):
        refuse(sweep, name, value)
    for name in ("floor", "abstain", "fees", "slippage", *OPTIONAL):
        refuse(signals, name, value)
    for name in ("risk", *MONEY, *OPTIONAL):
        refuse(simulate, name, value)


@pytest.mark.parametrize("value", [None, b"q0.9", True, np.nan, "0.5", "q2"])
def test_a_threshold_is_a_probability_or_a_quantile(value):
    for call in (sweep, signals):
        for given in (value, [value]):
            if call is sweep and given is None:
                continue  # the default
            what = r".*; give a probability in \(0, 1\) such as 0.5, or a quantile of confidence"
            with pytest.raises(InputError, match=f"^threshold .*({what}|must be one value or)"):
                call(threshold=given)
        if value is not None:
            refuse(call, "short_threshold", value, what="")
        refuse(call, "full", value, what="")


@pytest.mark.parametrize("values", [[[0.1], [0.2, 0.3]], [{}], {}, np.ones((2, 2))])
def test_a_list_is_flat(values):
    with pytest.raises(InputError, match=r"^risk must be one value or a flat list of values, got"):
        as_list("risk", values)


def test_numbers_of_numpy_are_numbers():
    given = np.array([0.5, 0.25], dtype=np.float32)
    assert as_numbers("risk", given) == [0.5, 0.25]
    assert as_numbers("risk", np.float64(0.5)) == as_numbers("risk", (0.5,)) == [0.5]
