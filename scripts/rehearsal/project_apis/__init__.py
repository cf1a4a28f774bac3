"""The services that say what a project is and has: billing, APIs, agents, quotas, tags."""
