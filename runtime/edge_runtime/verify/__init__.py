"""Golden samples against the certificate: does a bundle answer here as where it was exported?"""
