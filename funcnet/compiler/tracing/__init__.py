"""Tracing: run a function once on tensors without values, and record it as a program."""
