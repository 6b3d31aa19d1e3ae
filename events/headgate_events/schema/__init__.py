"""The record families of Headgate as pydantic models: what stands in the topics, field by field.

These models are the published contract (JSON Schema is generated from them) and the validators of the edges. Inside
the controller records are plain dictionaries: validating once costs 2 µs, carrying models through a fold costs ten
times that.
"""
