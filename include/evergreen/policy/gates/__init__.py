"""What each gate of the judge requires. Pure: measured numbers in, `Finding` out."""
