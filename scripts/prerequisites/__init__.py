"""What a run here and a deployment need, checked with the way to fix each."""
