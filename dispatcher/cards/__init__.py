"""Cards: an alert as an image, for channels that show nothing without one and for those that show more with one."""
