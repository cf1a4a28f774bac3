"""Bills: what a run cost beside its prediction, and what a deployment costs while it stands."""
