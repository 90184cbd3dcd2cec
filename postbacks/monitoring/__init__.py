"""Whether the server itself is well, and telling whoever runs it when it is not."""
