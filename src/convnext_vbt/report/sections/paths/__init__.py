"""The section `costs`."""
