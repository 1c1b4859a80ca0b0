"""Workers whose task fails, or that cannot be sent one; those that die are in test_walkforward."""

import threading

import pytest

from convnext_vbt.learning.workers import attempt, in_workers


def inverse(number):
    return 1 / number


@pytest.mark.slow
def test_a_failure_is_a_result_and_stops_no_other():
    assert attempt(inverse, 4) == 0.25
    found = dict(in_workers(inverse, {7: 4, 8: 0, 9: 2}, jobs=2))
    assert found.pop(7) == 0.25
    assert found.pop(9) == 0.5
    assert isinstance(found.pop(8), ZeroDivisionError)
    assert not found


def test_a_task_that_cannot_be_sent_is_not_taken_for_a_dead_worker():
    with pytest.raises(Exception, match="pickle"):
        list(in_workers(inverse, {0: threading.Lock(), 1: threading.Lock()}, jobs=2))
