"""A stand-in of the Terraform provider ``hashicorp/google``, for what this project uses."""
