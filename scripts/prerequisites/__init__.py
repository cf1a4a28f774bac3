"""What must be there before anything is deployed, checked with the way to fix each."""
