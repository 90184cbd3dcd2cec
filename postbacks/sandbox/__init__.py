"""The HTTP server of the networks' imitations, for demos and tests. All state is in memory."""
