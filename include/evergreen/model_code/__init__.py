"""Source that travels inside every model: standard library and numpy only."""
