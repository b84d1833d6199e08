"""The story of a distillation campaign as data: accounts of five labs, as each lab has them, and the truth apart."""
