"""The C text of a kernel."""
