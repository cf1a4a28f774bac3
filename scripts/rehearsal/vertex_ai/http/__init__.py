"""The service's surface: routes, errors, long-running operations, certificate."""
