"""The one YAML of a run as frozen pydantic models, and how it is loaded, composed and explained."""
