"""Terraform's plugin protocol, version 6, as a provider answers it."""
