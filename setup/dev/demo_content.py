"""Fed to ``odoo shell``: attachments of mixed kinds, made from a fixed seed."""

import io
import random

from PIL import Image
from reportlab.pdfgen.canvas import Canvas

WORDS = [
    "invoice",
    "order",
    "delivery",
    "customer",
    "quantity",
    "price",
    "draft",
    "offer",
    "stock",
    "date",
    "total",
    "tax",
]
random.seed(19)


def text(lines):
    return "\n".join(" ".join(random.choices(WORDS, k=12)) for _ in range(lines))


def photo(size):
    buffer = io.BytesIO()
    Image.frombytes("RGB", (size, size), random.randbytes(3 * size * size)).save(
        buffer, "JPEG"
    )
    return buffer.getvalue()


def pdf(lines):
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for number, line in enumerate(text(lines).splitlines()):
        canvas.drawString(50, 800 - 14 * (number % 50), line)
        if number % 50 == 49:
            canvas.showPage()
    canvas.save()
    return buffer.getvalue()


KINDS = [
    ("notes.txt", "text/plain", lambda n: text(20 + n).encode()),
    ("photo.jpg", "image/jpeg", lambda n: photo(120 + n)),
    ("offer.pdf", "application/pdf", lambda n: pdf(10 + n)),
    (
        "scan.bin",
        "application/octet-stream",
        lambda n: random.randbytes(1000 * (n + 1)),
    ),
]
partners = env["res.partner"].search([], limit=50)
if not env["ir.attachment"].search_count([("name", "=like", "demo-000-%")]):
    env["ir.attachment"].create(
        [
            {
                "name": f"demo-{number:03}-{name}",
                "mimetype": mimetype,
                "raw": make(number),
                "res_model": "res.partner",
                "res_id": partners[number % len(partners)].id,
            }
            for number in range(100)
            for name, mimetype, make in KINDS
        ]
    )
    env.cr.commit()
