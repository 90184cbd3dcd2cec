"""The server around the networks' imitations, for demos and tests. All of it is in memory."""
