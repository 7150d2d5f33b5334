"""Any data set -> uint8 arrays decoded once -> augmented batches on the device."""
