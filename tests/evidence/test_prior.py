import pytest

from convnext_vbt.evidence.prior import prior_notes

INSIDE = (
    "This market's family (regimes) was in the simulation that the network's prior was trained on: "
    "shows capacity, not skill."
)
OUTSIDE = (
    "This market's family (regimes) was not in the simulation that the network's prior was trained "
    "on (motifs, momentum)."
)


@pytest.mark.parametrize(
    ("source", "families", "said"),
    [
        ("simulated", ["motifs", "regimes"], [INSIDE]),
        ("simulated:seed=7,edge=0", ("motifs", "momentum"), [OUTSIDE]),
        (["simulated:seed=1", "simulated:seed=2"], ["regimes"], [INSIDE]),
        ("simulated", None, []),
        ("prices.csv", ["regimes"], []),
        (["sp500", "ccxt:binance:BTC/USDT:1h"], ["regimes"], []),
    ],
)
def test_a_simulated_market_is_named_as_in_or_out_of_the_prior(source, families, said):
    assert prior_notes(source, families) == said
