"""A stand-in of the Terraform provider ``hashicorp/google``, for the resources this project uses."""
