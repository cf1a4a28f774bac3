"""Endpoints: what they are, what is deployed to them, and what they predict."""
