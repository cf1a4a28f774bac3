"""How commands speak to a person: errors with a hint, progress, amounts."""
