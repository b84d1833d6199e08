"""The calls of the REST API by what they are about; `api.Client` is all of them on one connection."""
