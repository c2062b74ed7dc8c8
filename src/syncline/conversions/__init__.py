"""How a Dynamics value becomes a Campaign value: reading it by its own type, writing it by the target's. No I/O."""
