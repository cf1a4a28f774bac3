"""What a run is: parameters, images and prompts, plan, progress, claim on its output."""
