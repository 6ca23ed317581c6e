"""Running a model on images and prompts: device, preprocessing, prediction, postprocessing."""
