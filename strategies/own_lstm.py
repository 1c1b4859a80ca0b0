"""A model of one's own: a small LSTM in torch on windows of bars; see `own_model.toml`."""

import torch
from torch import Tensor, nn


class Lstm(nn.Module):
    """Logits of DOWN, STAY and UP (cases, 3) of windows (cases, features, bars)."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(num_features, 32, batch_first=True)
        self.logits = nn.Sequential(nn.Dropout(0.3), nn.Linear(32, 3))

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.lstm(x.transpose(1, 2))
        return self.logits(steps[:, -1])


def make(seed: int, num_features: int) -> nn.Module:
    torch.manual_seed(seed)
    return Lstm(num_features)
