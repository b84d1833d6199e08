"""How the description of the API names our authentication. Registered by being imported."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]  # untyped in its library
    """An API key as Bearer token."""

    target_class = "partners.auth.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """HTTP authentication with the scheme `Bearer` (OpenAPI 3.1 §4.8.27)."""
        return {"type": "http", "scheme": "bearer", "description": "An API key: `exk_…`."}
