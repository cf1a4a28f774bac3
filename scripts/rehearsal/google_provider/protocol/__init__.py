"""Terraform's plugin protocol, and the provider's schema."""
