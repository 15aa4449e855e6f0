"""What the live service was asked, whether it answers, and whether its data drifted."""
