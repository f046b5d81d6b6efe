"""The four points of the gates and their targets."""

import torch

X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {
    "AND": torch.tensor([[0.0], [0.0], [0.0], [1.0]]),
    "OR": torch.tensor([[0.0], [1.0], [1.0], [1.0]]),
    "XOR": torch.tensor([[0.0], [1.0], [1.0], [0.0]]),
}
XOR = GATES["XOR"]
