"""The native backend: a program as a C kernel."""
