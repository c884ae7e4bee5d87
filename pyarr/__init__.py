"""Arrays with NumPy's interface and exact derivatives."""
