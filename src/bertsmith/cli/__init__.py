"""The verbs: parse the command line, call one function, print. No logic, no torch at import."""
