"""Fillers, and what initializes the modules of other frameworks, in formulas, numbers and a plot."""
