"""Lowering: from the operations of a program to loops."""
