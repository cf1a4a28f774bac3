"""Time and cost against the number of images: runs, results, figures."""
