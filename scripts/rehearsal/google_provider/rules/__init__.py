"""What the provider checks and plans before any service is asked."""
