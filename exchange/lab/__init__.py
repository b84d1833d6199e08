"""What runs inside a lab: its accounts and flags in, evidence and prevalence out, suspects with reasons. No Django."""
