"""Google Cloud as the operator's machine meets it: the deployment's outputs, the SDK, uploads."""
