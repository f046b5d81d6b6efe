"""JAX's way of writing neural networks, on PyTorch.

A model is a pair of pure functions over a pytree of parameters, gradients come from `torch.func.grad`, batches and
ensembles from `vmap`, and an optimizer step is a function from parameters to parameters.
"""
