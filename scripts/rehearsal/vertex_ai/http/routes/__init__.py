"""The routes, a router for each resource; they only translate between HTTP and the service."""
