"""What was spent and what is being spent: a run's prediction and actuals, the deployment."""
