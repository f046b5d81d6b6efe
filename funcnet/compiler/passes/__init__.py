"""Passes over a program, before a backend gets it."""
