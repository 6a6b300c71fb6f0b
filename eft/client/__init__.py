"""What a customer runs: sending files to a case, fetching what is there. It knows a gateway by its addresses alone."""
