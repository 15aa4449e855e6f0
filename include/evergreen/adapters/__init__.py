"""The only importers of a vendor's SDK; none knows another."""
