"""Commands that use several folders at once, torch's among them; one command, one file."""
