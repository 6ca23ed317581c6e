"""Files: finding and decoding images, reading masks, atomic writes."""
