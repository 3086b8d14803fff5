"""The door: requests to work, and what came of it to replies, within limits; servers and programs use the same one."""
