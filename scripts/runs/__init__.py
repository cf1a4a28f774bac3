"""Runs of the pipeline: prepared, started here or on Vertex AI, followed to their end."""
