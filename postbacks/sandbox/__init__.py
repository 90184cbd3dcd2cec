"""The server around the networks' imitations, for demos and tests. All state is in memory."""
