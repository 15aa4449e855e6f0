"""The judge's gates: one module each that measures; what the numbers mean is `policy.gates`."""
