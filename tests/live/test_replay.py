import numpy as np

from tests.live.replay import replay


def test_the_last_bars_decided_one_at_a_time_are_the_backtest(trained, finished):
    worst, pairs = replay(trained, finished.result, 240)  # over a change of network and of rule
    assert worst < 1e-5
    assert {choice["stop_multiple"] for choice in trained.choices.values()} == {1.0, 0.5}
    for decided, simulated in pairs:
        assert [len(order) for order in decided] == [len(order) for order in simulated]
        for ours, theirs in zip(decided, simulated, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=3e-5)
    counts = [len(decided) for decided, _ in pairs]
    assert counts.count(0) > 20
    assert counts.count(1) > 20
    assert counts.count(2) > 5  # reversals: two orders at one open
