"""What nothing needs any more is found and removed, and the stores are reconciled."""
