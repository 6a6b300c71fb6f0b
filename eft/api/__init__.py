"""The control API, `/api/v1`: what a portal or a CRM does with cases. The only package that imports FastAPI."""
