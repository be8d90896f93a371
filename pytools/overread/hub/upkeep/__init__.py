"""What an administrator does to a hub's home: check it, back it up, restore it, upgrade its database."""
