"""The pages of the settings of a business."""
