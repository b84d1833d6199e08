"""From a raw value to its token: normal forms, input bytes, RFC 9497. Pure; client, key service and server share it."""
