"""ROI collections: what they refer to, what may be one, how they are kept (xnat-rest 6.3)."""
