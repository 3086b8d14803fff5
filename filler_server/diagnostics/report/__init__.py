"""A page about a net and its weights, for people: numbers, plots, findings and source in one HTML file."""
