"""The client side of XNAT, on xnatpy."""
