"""What a map is worth: deletion and insertion, a score over many images, the parameter randomisation test."""
