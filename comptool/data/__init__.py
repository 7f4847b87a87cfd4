"""What is trained on: image files, augmentation, samplers and batches; folds."""

import os

# albumentations checks for updates over the network when imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
