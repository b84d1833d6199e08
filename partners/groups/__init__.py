"""Partners and their groups: made, joined, steered, left."""
