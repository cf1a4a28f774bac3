"""The rehearsal: local stand-ins of the cloud for the real tools to talk to."""
