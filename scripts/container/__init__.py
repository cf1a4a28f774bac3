"""The container image of serving and pipeline: what is built, by whom, and which was built last."""
