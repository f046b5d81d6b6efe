"""The native backend: a program as one C function."""
