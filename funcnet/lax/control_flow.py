"""Loops and branches under the names of jax.lax."""

from funcnet.scan import scan

__all__ = ["scan"]
