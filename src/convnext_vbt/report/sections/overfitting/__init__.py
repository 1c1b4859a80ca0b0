"""The section `overfitting`."""
