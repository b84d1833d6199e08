"""The shapes of answers for the OpenAPI description, a module for each of the views, which write from stored bytes."""
