"""Makes data of the shape of the shipped models, with a world that can drift."""
