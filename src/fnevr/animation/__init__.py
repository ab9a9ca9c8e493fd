"""The way of the data: source and driver in, frames of the moved portrait out."""
