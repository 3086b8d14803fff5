"""Text or binary to NetParameter: reading with a report."""
