"""The workflows: what each reads and writes, and the cycle they share."""
