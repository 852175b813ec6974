"""What is done to training images, each with a draw of its own, on the device.

`batches` has the draws and what they are done to; the other modules have the operations that
`spec.augmentation` lists.
"""

__all__: list[str] = []
