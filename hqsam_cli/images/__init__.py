"""Finding and decoding images: one EXIF policy and one size check for everybody who looks at pixels."""
