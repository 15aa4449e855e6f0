"""One YAML a model, and any estimator builders in Python beside it."""
