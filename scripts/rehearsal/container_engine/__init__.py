"""A stand-in of the ``docker`` command, which assembles an image as a folder."""
