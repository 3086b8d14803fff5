"""The command line `filler`; each verb in a module of its own, heavy imports inside the commands."""
