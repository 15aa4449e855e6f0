"""From a registered version to a service that answers in staging, and the proof that it does."""
