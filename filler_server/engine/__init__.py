"""Plan and stream to bytes: the one way to generate any region of any blob."""
