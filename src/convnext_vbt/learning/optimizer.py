"""torch's AdamW without the import of torch's compiler, which takes a second of every process.

torch marks an optimizer's methods as not to be compiled, and the marks load the compiler when they
are called. Nothing is compiled here, so the methods are called without them.
"""

from __future__ import annotations

import inspect

import torch


class AdamW(torch.optim.AdamW):
    """Loshchilov and Hutter 2019, arXiv:1711.05101: bit for bit `torch.optim.AdamW`."""

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
