"""What the tests share: no module here is imported by the package."""
