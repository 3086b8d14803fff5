"""Values of blobs against the distributions that their fillers promise."""
