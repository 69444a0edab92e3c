"""Sample data from installed packages."""
