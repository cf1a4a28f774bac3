"""One shard of a run: the process that segments it, and what each image leaves in the output."""
