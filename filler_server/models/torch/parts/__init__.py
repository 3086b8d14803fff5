"""Modules and functions that written nets take over where they need them.

They are read as text, never imported: a server has no PyTorch. Each is a function or class at the top of a file here;
`library` finds what one needs of the others.
"""
