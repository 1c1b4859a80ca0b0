"""One meaning for every code: ours, the kernel's and vectorbt's."""

import re
from typing import get_args

import pytest
from vectorbt.portfolio import enums

from convnext_vbt.trading import codes, kernel
from convnext_vbt.trading.inputs import SizeType
from convnext_vbt.trading.signals import LEVEL_BITS, LEVELS

BITS = ("ENTER_LONG", "EXIT_LONG", "ENTER_SHORT", "EXIT_SHORT")
OF_BARS = ("UNTRADED", "LEAVE", "ABSENT")
ENDS = (
    "ENTRY", "SIGNAL", "REVERSE", "STOP", "GAP_STOP", "TAKE_PROFIT", "MAX_HOLDING", "BUST",
    "DELISTED", "LEAVE_TIME", "LIQUIDATION",
)  # fmt: skip


def test_bits_and_reasons_are_the_kernels():
    for name in (*BITS, *OF_BARS, *ENDS, "NONE"):
        assert getattr(codes, name) == getattr(kernel, name), name
    assert [getattr(kernel, name) for name in ENDS] == list(range(len(codes.REASONS)))
    words = [re.sub("[ -]", "_", word).upper() for word in codes.REASONS]
    assert dict(zip(words, ENDS, strict=True)) == {
        **{name: name for name in ENDS if name not in ("ENTRY", "GAP_STOP", "LEAVE_TIME")},
        "OPEN": "ENTRY",
        "GAP_THROUGH_STOP": "GAP_STOP",
        "TIME_OF_DAY": "LEAVE_TIME",
    }


@pytest.mark.parametrize(
    ("words", "theirs"),
    [
        (codes.SIDES, enums.OrderSide),
        (codes.DIRECTIONS, enums.TradeDirection),
        (codes.STATUSES, enums.TradeStatus),
    ],
)
def test_sides_directions_and_statuses_are_vectorbts(words, theirs):
    assert {word: getattr(codes, word.upper()) for word in words} == theirs._asdict()
    assert list(words) == [theirs._fields[k] for k in theirs]


def test_a_row_of_signals_has_one_bit_a_level():
    assert LEVELS == ("entries", "exits", "short_entries", "short_exits")
    assert list(LEVEL_BITS) == [getattr(kernel, name) for name in BITS]
    assert sum(LEVEL_BITS) == codes.ENTER | codes.EXIT == 15


def test_sizings_are_the_kernels_in_its_order():
    by_name = [getattr(kernel, f"BY_{name.upper()}") for name in get_args(SizeType)]
    assert by_name == [0, 1, 2]
