"""The engine of the database: Django's, with a pool of ours."""
