"""Jobs: frozen requests, generator tasks, a child process."""
