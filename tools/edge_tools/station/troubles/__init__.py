"""What happens to a station in months, on purpose and within minutes: does it lose, invent or hide a verdict by it?"""
