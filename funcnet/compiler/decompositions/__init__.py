"""Decompositions used while tracing: operations by simpler ones."""
