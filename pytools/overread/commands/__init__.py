"""Container Service commands: model, lint, explain."""
