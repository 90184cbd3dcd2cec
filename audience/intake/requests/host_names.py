"""Letters of a host name that programs read in two ways."""

import re

# Browsers keep them, and Python's codec `idna` converts them (unicode.org/reports/tr46, "deviation characters"):
# straße.example would become strasse.example.
DEVIATIONS = re.compile("[ßẞς\u200c\u200d]")
AMBIGUOUS = "Enter the host in its ASCII form, which begins with xn--. Programs read one of its letters in two ways."
