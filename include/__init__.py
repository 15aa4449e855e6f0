"""Code that DAG files import; Astro and `PYTHONPATH` put its parent on the path."""
