import sys

import pytest
import torch

from convnext_vbt.learning.optimizer import AdamW


def weights_after(kind, steps=5, **options):
    net = torch.nn.Linear(4, 3)
    torch.nn.init.constant_(net.weight, 0.1)
    torch.nn.init.zeros_(net.bias)
    groups = [
        {"params": [net.weight], "weight_decay": 0.3},
        {"params": [net.bias], "weight_decay": 0.0},
    ]
    optimizer = kind(groups, lr=0.05, **options)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    x = torch.arange(8.0).reshape(2, 4).cos()
    for _ in range(steps):
        optimizer.zero_grad()
        net(x).square().sum().backward()
        optimizer.step()
        schedule.step()
    return torch.cat([net.weight.flatten(), net.bias]).detach()


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"betas": (0.8, 0.9), "eps": 1e-4}])
def test_it_is_torchs_to_the_bit_and_loads_no_compiler(monkeypatch, options):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch._dynamo", None)  # importing it would raise
        ours = weights_after(AdamW, **options)
    assert torch.equal(ours, weights_after(torch.optim.AdamW, **options))
    assert not torch.equal(ours, weights_after(AdamW, steps=4, **options))
