"""Read XML of other programs in any encoding, and write XML with any names."""

from __future__ import annotations

import re
from contextlib import suppress
from xml.etree import ElementTree

from .values import text_of

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_bytes(element: ElementTree.Element) -> bytes:
    """Serialize an element as ASCII; characters not allowed in XML, such as undecodable bytes, become `?`."""
    text = NOT_XML.sub("?", ElementTree.tostring(element, encoding="unicode"))
    return text.encode("ascii", "xmlcharrefreplace") + b"\n"


def read_xml(content: bytes) -> ElementTree.Element | None:
    """Parse XML and return its root, tags without namespaces; None if it is not XML or declares entities."""
    if b"<!ENTITY" in content:
        return None
    declared = re.match(rb"<\?xml[^>]*encoding=[\"']([\w.-]+)", content)
    root = None
    for text in (content, _decoded(content, declared[1].decode() if declared else None)):
        with suppress(ElementTree.ParseError, ValueError, LookupError):
            root = ElementTree.fromstring(text)
            break
    for element in () if root is None else root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _decoded(content: bytes, encoding: str | None) -> str:
    """Decode XML in an encoding unknown to the parser, and remove its declaration."""
    try:
        text = text_of(content) if encoding is None else content.decode(encoding, "replace")
    except LookupError:
        text = text_of(content)
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
