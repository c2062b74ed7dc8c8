"""A host application that embeds Syncline: the self-service console, on the sandbox. `python examples/console`."""
