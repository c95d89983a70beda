"""What people see and press: the HTTP interface and its pages, over the same road as every event."""
