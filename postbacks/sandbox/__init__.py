"""Imitations of the two ad networks, for demos and tests. In memory, no database, nothing leaves the machine."""
