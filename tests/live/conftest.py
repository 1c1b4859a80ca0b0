import warnings

import pytest

from convnext_vbt.errors import FewTradesWarning
from convnext_vbt.live.trained import open_trained
from convnext_vbt.runs import run as pipeline
from convnext_vbt.runs.config import load_config
from tests.strategies import write_tiny

TOLD = (  # a market, features and a training by which both sides are found to be worth something
    ("seed=5", "seed=2,edge=3"),
    ('"candle_upper_wick", "hour_sin"', '"bollinger_percent_b_20", "stochastic_k_14"'),
    ("steps = 2", "steps = 24\nlr = 0.02\nfeature_dropout = 0.0"),
    ("eval_every = 1", "eval_every = 8"),
)
CHANGES = (
    *TOLD,
    ("lr = 0.02", "lr = 0.02\nensemble = 2"),
    ("[sweep]", "[sweep]\nstop_multiple = [0.5, 2.0]"),
    ("horizon = 6", "horizon = 4"),
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of two networks, 1,200 simulated hours from 2022-01-01 on."""
    home = tmp_path_factory.mktemp("live")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewTradesWarning)  # few trades a cell
        return pipeline.run(load_config(write_tiny(home, *CHANGES)), out=home, jobs=1)


@pytest.fixture(scope="session")
def trained(finished):
    return open_trained(finished.directory)


@pytest.fixture(scope="session")
def bars(finished):
    return finished.result.bars
