"""The REST face: base classes that the faces of both applications share, and what it says about who."""
