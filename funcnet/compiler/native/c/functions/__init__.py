"""The C functions that kernels call."""
