"""Pure mathematics on arrays: no estimators, no input or output, no scikit-learn."""
