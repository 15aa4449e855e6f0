"""Coverage-guided fuzzing of the readers of landed files: `make fuzz`, and a short run in tests."""
