"""The model card: what a training was, what the judge saw of it, and what became of it."""
