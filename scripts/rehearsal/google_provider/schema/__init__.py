"""The provider's schema: a snapshot in Terraform's own form, and the values it describes."""
