"""What binds a child process that meets an untrusted bundle: limits, no network, files that it may touch."""
