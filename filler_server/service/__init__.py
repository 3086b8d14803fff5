"""The service: wire in, engine call, wire out."""
