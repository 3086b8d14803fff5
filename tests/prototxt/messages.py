"""Random messages of any type of the schema, as a Hypothesis strategy."""
