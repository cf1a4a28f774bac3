"""A run's masks in the formats of other tools."""
