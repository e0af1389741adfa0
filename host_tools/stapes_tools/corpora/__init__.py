"""Speech for training and scoring: readers, sentences, synthetic voices, augmentation."""
