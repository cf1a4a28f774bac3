"""A stand-in of Vertex AI: the REST calls that the SDK makes, over one world with the provider."""
