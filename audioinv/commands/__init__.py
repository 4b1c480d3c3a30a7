"""What each subcommand does, one file each: settings in, files out. No method lives here."""
