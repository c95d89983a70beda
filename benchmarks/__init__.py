"""How fast dispatcher is, beside others in one run: ``python -m benchmarks`` measures and writes docs/performance.md.

Nothing here belongs to the product. Every figure comes with its least and its most, and every run is checked: the
provider writes down each request, and a run that lost or doubled one has no figure.
"""
