"""A first spec from one file, for a person to edit: what `make model` writes."""
