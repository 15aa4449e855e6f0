"""The demo: the whole loop on simulated rides, on the embedded stack, watched while it happens."""
