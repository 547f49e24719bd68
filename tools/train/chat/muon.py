# SPDX-License-Identifier: LGPL-2.1-or-later
"""Muon: the momentum of a matrix, made nearly orthogonal, is its step (K. Jordan and others, 2024).

All directions of a matrix learn at one pace, so that what is seldom in the corpus is learned nearly as fast as what is frequent.
Matrices of one shape go through the iteration together.
"""
import torch

MOMENTUM, ROUNDS = 0.95, 5
QUINTIC = (3.4445, -4.7750, 2.0315)  # drives all singular values to about 1


def orthogonal(g):
    """g: (N, rows, columns) -> the same with singular values between 0.7 and 1.2, by the Newton-Schulz iteration in bf16."""
    a, b, c = QUINTIC
    x = g.to(torch.bfloat16)
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.float().pow(2).sum((1, 2), keepdim=True).sqrt() + 1e-7)
    x = x.to(torch.bfloat16)
    for _ in range(ROUNDS):
        square = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.transpose(1, 2) if tall else x).float()


class Muon(torch.optim.Optimizer):
    """For matrices of hidden layers; embeddings and norms belong to AdamW."""

    def __init__(self, params, lr, weight_decay=0.0):
        super().__init__(params, {'lr': lr, 'weight_decay': weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for w in group['params']:
                shapes.setdefault(w.shape, []).append(w)
            for (rows, columns), ws in shapes.items():
                moments = []
                for w in ws:
                    m = self.state[w].setdefault('moment', torch.zeros_like(w))
                    m.lerp_(w.grad, 1 - MOMENTUM)
                    moments.append(w.grad.lerp(m, MOMENTUM))  # Nesterov
                scale = group['lr'] * max(1, rows / columns) ** 0.5
                for w, update in zip(ws, orthogonal(torch.stack(moments))):
                    w.mul_(1 - group['lr'] * group['weight_decay']).add_(update, alpha=-scale)
