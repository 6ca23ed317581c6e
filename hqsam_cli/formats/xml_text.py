"""XML as other programs read it, whatever names are in it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_bytes(element: ElementTree.Element) -> bytes:
    """An element in ASCII; characters that XML cannot hold, such as bytes of a name that are not UTF-8, are `?`."""
    text = NOT_XML.sub("?", ElementTree.tostring(element, encoding="unicode"))
    return text.encode("ascii", "xmlcharrefreplace") + b"\n"
