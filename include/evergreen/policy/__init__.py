"""Pure decisions: numbers in, verdict and reason out."""
