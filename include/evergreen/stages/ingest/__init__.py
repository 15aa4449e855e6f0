"""Landed files become rows of the lake: each file once, each row once, what is bad put aside."""
