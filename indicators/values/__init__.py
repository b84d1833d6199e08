"""The values that holdings carry, and the epochs of their keys."""
