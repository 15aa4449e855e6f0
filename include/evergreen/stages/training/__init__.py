"""From pending requests to a registered version: claimed, frozen, tuned, fitted, judged."""
