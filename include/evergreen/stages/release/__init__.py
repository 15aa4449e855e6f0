"""From a version proven in staging to the champion in production, and back again if need be."""
