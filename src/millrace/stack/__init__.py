"""Local servers for people without Docker: one file a server."""
