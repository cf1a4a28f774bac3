"""Runs of the pipeline, on this machine and on Vertex AI: checked, estimated, followed."""
