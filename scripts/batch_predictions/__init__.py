"""Vertex batch predictions: their input lines, the job, and their results as a run's output."""
