"""The shared core: images in, masks out. Knows nothing of Google, HTTP or environment variables."""
