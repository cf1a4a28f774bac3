"""What exists in the cloud, declared with CDK for Terraform: one construct an entity.

Imports neither torch nor any other room; what it deploys is handed to ``scripts`` as a file of
stack outputs.
"""
