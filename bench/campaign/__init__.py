"""What five labs find together, on the story of `exchange simulate`: suspects, pairs, liars, time and memory."""
