"""What only a developer or CI types, as ``python -m scripts.development.<name>``."""
