"""What a station decided, kept for months: records, pictures, and the queues of what is still to be told."""
