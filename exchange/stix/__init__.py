"""What an indicator of ours may say, shared by client and server: the closed words, the schemas, the patterns. Pure."""
