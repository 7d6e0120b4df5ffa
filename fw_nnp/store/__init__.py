"""The dataset store: configurations, labels, datasets and models in MongoDB."""
