"""Columns of networks: by hand from their outputs, and exactly mirrored in the mirror."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from convnext_vbt.learning.heldout import HeldOut
from convnext_vbt.learning.models.trunk import SCALE, Trunk
from convnext_vbt.learning.network import ConvNeXt1d
from convnext_vbt.learning.segments import Series

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = (40, 60)
MOVES = pytest.mark.parametrize("moves", [None, 2])


def networks(count=1):
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        net = ConvNeXt1d(2, num_classes=3, depths=(1,), dims=(4,)).eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        made.append(net)
    return tuple(made)


def trunk(moves, *, count=1):
    inputs = torch.tensor([2, 0])
    return Trunk(nets=networks(count), inputs=inputs, moves=moves, device="cpu")


def held_out(*, mirrored=True):
    view, mirror = torch.randn(2, 3, 60, generator=torch.Generator().manual_seed(7))
    series = Series(bars=np.arange(60), values=view, mirrored=mirror if mirrored else None)
    return HeldOut(series=[series], rows=[ROWS], y=torch.zeros(20, dtype=torch.int64))


def outputs(net, values):
    with torch.no_grad():
        return net.forward_dense(values[[2, 0]][None])[0, slice(*ROWS)].double().numpy()


def told(out, moves):
    """What tells of a move and what has a side."""
    if moves is not None:
        return out[:, :moves], out[:, moves:]
    down, stay, up = np.exp(out).T
    return np.log((down + up) / stay)[:, None], np.log(up / down)[:, None]


@MOVES
def test_columns_by_hand(moves):
    held = held_out()
    made = trunk(moves).columns(held)
    (net,), (series,) = networks(), held.series
    move, side = told(outputs(net, series.values), moves)
    other_move, other_side = told(outputs(net, series.mirrored), moves)
    np.testing.assert_allclose(made.move, SCALE * (move + other_move) / 2, atol=1e-4)
    np.testing.assert_allclose(made.experts, (side - other_side) / 2, atol=1e-5)
    assert made.features.shape == (20, 0)
    alone = trunk(moves).columns(held_out(mirrored=False))
    np.testing.assert_allclose(alone.move, SCALE * move, atol=1e-4)
    np.testing.assert_allclose(alone.experts, side, atol=1e-5)


@MOVES
def test_columns_are_mirrored_exactly(moves):
    held = held_out()
    (series,) = held.series
    turned = replace(series, values=series.mirrored, mirrored=series.values)
    one, other = (trunk(moves).columns(replace(held, series=[it])) for it in (series, turned))
    np.testing.assert_array_equal(one.move, other.move)
    np.testing.assert_array_equal(one.experts, -other.experts)
    assert np.abs(one.experts).min(axis=0).max() > 0


def test_outputs_of_several_networks_are_averaged():
    held = held_out()
    several = trunk(2, count=3)
    each = [one.columns(held) for one in several.members()]
    both = several.columns(held)
    for name in ("move", "experts"):
        mean = np.mean([getattr(one, name) for one in each], axis=0)
        np.testing.assert_allclose(getattr(both, name), mean, atol=1e-4)
    assert np.abs(each[0].experts - each[1].experts).max() > 1e-2
