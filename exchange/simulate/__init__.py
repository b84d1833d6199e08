"""A distillation campaign, played against a running exchange: what three labs see, find and tell each other."""
