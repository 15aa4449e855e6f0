"""What a task body calls: one verb a module."""
