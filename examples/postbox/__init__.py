"""A connector to another marketing system than Adobe Campaign: a service, the connector, and both at work."""
