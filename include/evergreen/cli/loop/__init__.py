"""Follows one model around the loop: what happens, how it ends, and how that is shown."""
