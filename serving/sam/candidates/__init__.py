"""Candidates for masks: measured, filtered, brought to the image's size."""
