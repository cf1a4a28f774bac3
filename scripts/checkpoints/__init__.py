"""Checkpoint files on this machine: where they lie, and how they are downloaded."""
