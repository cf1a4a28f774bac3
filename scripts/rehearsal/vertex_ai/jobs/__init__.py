"""Jobs: batch predictions and pipeline jobs."""
