"""The chassis: what every service stands on, without a word of the business."""
