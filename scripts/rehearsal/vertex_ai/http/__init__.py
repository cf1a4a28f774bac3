"""The service's surface: routes, injected faults, certificate."""
