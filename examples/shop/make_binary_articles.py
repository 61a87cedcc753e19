#!/usr/bin/env python3
"""Writes the articles that are kept as DOCX and PDF. Standard library only; the output is the same each time."""
import pathlib
import zipfile

HELP = pathlib.Path(__file__).parent / "help"

DOCX = {
    "rental-service.docx": [
        ("Heading1", "Renting equipment"),
        ("Heading2", "What can be rented"),
        (None, "Tents, sleeping bags, packs, snowshoes and, from December to April in Innsbruck, ski touring sets. Stoves, boots and climbing equipment are not rented."),
        ("Heading2", "Prices"),
        (None, "A tent for two costs €29 for a weekend (Friday to Monday) and €59 for a week. A sleeping bag costs €15 for a weekend and €32 for a week. Snowshoes cost €12 a day."),
        ("Heading2", "Deposit and identity"),
        (None, "We reserve a deposit of €150 on your card, €300 for ski touring sets. Please bring an identity document. The deposit is released within 3 working days after the return."),
        ("Heading2", "Bringing it back"),
        (None, "Each started day of delay costs €10. Return it dry and swept; drying a wet tent for you costs €20. Normal wear is included, damage is charged by the price list of the workshop."),
        ("Heading2", "Buying afterwards"),
        (None, "If you buy the rented model within 30 days, we take the rental price off, up to €60."),
    ],
    "group-orders.docx": [
        ("Heading1", "Orders for groups, schools and clubs"),
        ("Heading2", "Discount"),
        (None, "From 10 pieces of one product the price falls by 8%, from 25 pieces by 12% and from 50 pieces by 15%. Black Friday and final sale items are excluded."),
        ("Heading2", "How to ask"),
        (None, "Send the list of articles and sizes to groups@larkfield.example. You receive a quote within 2 working days; it is valid for 30 days."),
        ("Heading2", "Printing and embroidery"),
        (None, "Logos are printed from 20 pieces for €6 each, or embroidered from 10 pieces for €9 each, in 15 working days after you approve the sample. Printed items cannot be returned."),
        ("Heading2", "Approval as a group customer"),
        (None, "Schools, municipalities and associations send a letterhead and the name of one contact person. Approval takes 5 working days and allows payment within 30 days."),
        ("Heading2", "Trying sizes"),
        (None, "We lend a size set of jackets for 14 days, free of charge, against a deposit of €200."),
    ],
}

PDF = {
    "stove-safety.pdf": ("Using Wren stoves safely", [
        "# Using Wren stoves safely",
        "## Before the first use",
        "Screw the cartridge on outdoors and upright, by hand only. Listen for gas:",
        "if it hisses after tightening, unscrew it and do not light it.",
        "Check the sealing ring once a year; a new ring costs 4.20 EUR.",
        "## While cooking",
        "Keep 1 metre distance from tents and anything that burns.",
        "Never leave a burning stove alone. Pots must not be wider than 24 cm,",
        "or heat reflects onto the cartridge.",
        "## After cooking",
        "Let the stove cool for 10 minutes before you unscrew the cartridge.",
        "Store cartridges below 50 degrees Celsius, never in a parked car in the sun.",
        "## Carbon monoxide",
        "Headache, dizziness and nausea are the first signs. Go outside at once",
        "and call 112 if they do not pass within minutes.",
    ]),
    "tent-poles.pdf": ("Tent poles: lengths and repair on tour", [
        "# Tent poles: lengths and repair on tour",
        "## Lengths",
        "Lapwing 2: two poles of 412 cm with 11 segments.",
        "Lapwing 3: two poles of 438 cm with 12 segments and one ridge pole of 96 cm.",
        "Sanderling 4: three poles of 505 cm with 13 segments.",
        "All poles are aluminium 7001-T6, 8.5 mm thick (Sanderling: 9.6 mm).",
        "## On tour",
        "Push the repair sleeve from the pole bag over the broken place so that the break",
        "lies in its middle, and fix both ends with tape. A sleeve of 13 cm comes with each tent.",
        "## Afterwards",
        "Single segments cost 12 EUR with fitting in the workshop, or 7 EUR for fitting yourself.",
        "Elastic cord should be replaced after about 5 years; 5 metres cost 3.90 EUR.",
        "## Corrosion",
        "Rinse poles with fresh water after camping by the sea and let them dry open.",
    ]),
}


def write_docx(path, paragraphs):
    escape = lambda text: text.replace("&", "&amp;").replace("<", "&lt;")
    body = "".join(
        "<w:p>" + (f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else "") + f"<w:r><w:t>{escape(text)}</w:t></w:r></w:p>" for style, text in paragraphs)
    parts = {
        "[Content_Types].xml": '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
        "_rels/.rels": '<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{body}</w:body></w:document>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 24, 0, 0, 0)), text.encode())


def write_pdf(path, title, lines):
    escape = lambda text: text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    y, content = 790, []
    for line in lines:
        size = 18 if line.startswith("# ") else 14 if line.startswith("## ") else 11
        y -= size + (14 if size > 11 else 5)
        content.append(f"BT /F{2 if size > 11 else 1} {size} Tf 60 {y} Td ({escape(line.lstrip('# '))}) Tj ET")
    stream = "\n".join(content)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>",
        f"<< /Title ({escape(title)}) >>",
    ]
    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n" + "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out += f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info 7 0 R >>\nstartxref\n{start}\n%%EOF\n"
    path.write_bytes(out.encode("latin-1"))


for name, paragraphs in DOCX.items():
    write_docx(HELP / name, paragraphs)
for name, (title, lines) in PDF.items():
    write_pdf(HELP / name, title, lines)
