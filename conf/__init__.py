"""What a run is made of: a YAML file per command, a folder per choice. Every key a user may change has a comment."""
