"""What is kept of annotations: masks files, and all that follows from them."""
