"""The health of postbacks, alerts about it, and troubles of the server itself."""
