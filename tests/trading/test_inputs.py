import pytest

from convnext_vbt.errors import InputError
from convnext_vbt.trading.inputs import SimulationConfig
from convnext_vbt.trading.instruments import Instrument


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"trail": "low"}, r"trail must be one of \('none', 'close', 'extreme'\), got 'low'"),
        ({"break_even": 0.0}, "break_even must be positive and finite, got 0.0; 1 moves"),
        ({"break_even": float("inf")}, "break_even must be positive and finite, got inf"),
        ({"break_even": "1"}, "break_even must be a number, got '1'"),
        ({"limit_offset": 1.0}, r"limit_offset must lie in \[0, 1\), got 1.0; 0.002 is"),
        ({"limit_offset": -0.1}, r"limit_offset must lie in \[0, 1\)"),
        ({"limit_offset": 0.1, "limit_bars": 0}, "limit_bars must be a whole number of at least 1"),
        ({"limit_offset": 0.1, "limit_bars": 1.5}, "limit_bars must be a whole number"),
        ({"limit_offset": 0.1, "limit_bars": True}, "limit_bars must be a whole number"),
        ({"limit_bars": 2}, "limit_bars = 2 needs limit_offset"),
        ({"leave_at": "4pm"}, "leave_at must be a time of day or the session's end, got '4pm'"),
        ({"leave_at": 3}, "leave_at must be a time of day or the session's end, got 3"),
        ({"leave_at": "15:55 Nowhere"}, "unknown time zone 'Nowhere'"),
        ({"take_profit_ladder": 0.5}, "must be pairs of multiple and share, got 0.5"),
        ({"take_profit_ladder": (0.5, 0.5)}, "must be pairs of multiple and share"),
        ({"take_profit_ladder": ((1, 2, 3),)}, "must be pairs of multiple and share"),
        ({"take_profit_ladder": (("a", 1),)}, "a multiple must be a number, got 'a'"),
        ({"take_profit_ladder": ((0.0, 0.5),)}, "a multiple must be positive and finite, got 0.0"),
        ({"take_profit_ladder": ((1.0, -0.5),)}, "a share must be positive and finite, got -0.5"),
        ({"take_profit_ladder": ((1.0, 0.5), (1.0, 0.5))}, r"must ascend, got \[1.0, 1.0\]"),
        ({"take_profit_ladder": ((1.0, 0.6), (2.0, 0.5))}, "shares sum to 1.1, more than"),
    ],
)
def test_what_cannot_be_traded_is_refused_with_its_value(keys, message):
    with pytest.raises(InputError, match=message):
        SimulationConfig(**keys)


def test_a_ladder_of_lists_and_rounded_shares_is_taken():
    config = SimulationConfig(take_profit_ladder=[[0.5, 0.7], [1.0, 0.1], [2.0, 0.2000000001]])
    assert config.take_profit_ladder == ((0.5, 0.7), (1.0, 0.1), (2.0, 0.2000000001))
    assert hash(config)


def test_instruments_of_a_configuration_do_not_follow_the_callers():
    given = {"A": Instrument()}
    config = SimulationConfig(instruments=given)
    given.clear()
    assert config.instruments == {"A": Instrument()}
