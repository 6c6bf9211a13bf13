"""Bergulir's format, from docs/format.md alone; each module names the section that it implements.

To read it from the top of the question, begin with `check_bundle` in `bundles`.
"""
