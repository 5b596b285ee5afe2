"""The platform: doors, wires and memory. Knows both outside systems' protocols, and nothing of the business."""
