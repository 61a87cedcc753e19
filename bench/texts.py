"""Real texts in quantity for the benchmarks, out of Debian's packages: the glosses of WordNet, and a million sentences of dictionaries and manuals."""
import gzip
import html.parser
import os
import pathlib
import random
import re
import subprocess
import tempfile

CACHE = pathlib.Path(os.environ.get("TENFOLD_CACHE") or pathlib.Path.home() / ".cache" / "tenfold") / "bench"

DICTIONARIES = ("dict-gcide", "dict-foldoc")
MANUALS = (
    "manpages", "manpages-dev", "perl-doc", "linux-doc-6.1", "git-doc", "python3.11-doc", "postgresql-doc-15", "sqlite3-doc",
    "libreoffice-help-en-us", "gimp-help-en", "octave-doc", "libboost1.81-doc",
)  # fmt: skip


def unpack(names, folder):
    os.chmod(folder, 0o755)
    for name in names:
        subprocess.run(["apt-get", "download", "-q", name], cwd=folder, check=True, capture_output=True)
        subprocess.run(["dpkg", "-x", next(pathlib.Path(folder).glob(f"{name}_*.deb")), pathlib.Path(folder)], check=True)
    return pathlib.Path(folder)


def glosses():
    """The file of WordNet's glosses, sorted, none twice."""
    kept = CACHE / "wordnet.txt"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            words = unpack(["wordnet-base"], folder) / "usr/share/wordnet"
            lines = [line for part in ("adj", "adv", "noun", "verb") for line in (words / f"data.{part}").read_text("latin-1").splitlines() if not line.startswith("  ")]
        kept.write_text("\n".join(sorted({" ".join(line.split("|", 1)[1].split()) for line in lines})) + "\n")
    return kept


class Page(html.parser.HTMLParser):
    """The text of a page, its blocks apart."""

    BLOCKS = {"p", "li", "td", "th", "dd", "dt", "div", "pre", "h1", "h2", "h3", "h4", "tr", "br"}

    def __init__(self, text):
        super().__init__()
        self.parts, self.hidden = [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style")
        if tag in self.BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style")
        self.handle_starttag(tag, ()) if tag in self.BLOCKS else None

    def handle_data(self, data):
        if not self.hidden:
            self.parts.append(data)


def of_manual_page(text):
    """Without the requests of roff."""
    lines = []
    for line in text.splitlines():
        if line.startswith((".", "'")):
            shown = re.match(r"[.'](?:B|I|BR|IR|RB|BI|IB|RI|SM)\s+(.*)", line)
            lines.append(shown[1].replace('"', "") if shown else "")
        else:
            lines.append(re.sub(r"\\f[A-Z(\[]\w?\]?|\\[&%]|\\\(..|\\\*\(?..", "", line.replace(r"\-", "-")))
    return "\n".join(lines)


def sentences_of(text):
    for one in re.split(r"\n\s*\n|(?<=[.!?;:])\s+(?=[A-Z\"(`*\[])|\n(?=\s*(?:[-*o]|\d+[.)])\s)", text):
        one = " ".join(one.split())
        if 25 <= len(one) <= 400 and one.count(" ") >= 4 and sum(c.isalpha() or c == " " for c in one) >= 0.8 * len(one):
            yield one


def texts_of_manuals(root):
    for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
        name = path.name.removesuffix(".gz")
        is_page = "/man/" in str(path)
        if is_page and not re.search(r"/man/man\d", str(path)) or not (is_page or name.endswith((".rst", ".txt", ".pod", ".html"))):
            continue
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode("utf-8", "replace")
        yield of_manual_page(text) if is_page else "".join(Page(text).parts) if name.endswith(".html") else text


def sentences():
    """The file of the glosses and of sentences of dictionaries, manuals and descriptions of packages, none twice, in one random order."""
    kept = CACHE / "sentences.txt"
    if not kept.exists():
        found = dict.fromkeys(glosses().read_text().splitlines())
        with tempfile.TemporaryDirectory() as folder:
            root = unpack(DICTIONARIES, folder)
            for path in sorted(root.rglob("*.dict.dz")):  # the source of an entry stands in brackets after it
                text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
                found.update(dict.fromkeys(sentences_of(re.sub(r"\[[\w .+]{2,30}\]", "\n\n", text))))
        with tempfile.TemporaryDirectory() as folder:
            for text in texts_of_manuals(unpack(MANUALS, folder)):
                found.update(dict.fromkeys(sentences_of(text)))
        packages = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
        found.update(dict.fromkeys(sentences_of("\n\n".join(re.findall(r"^Description: (.*)$", packages, re.M)))))
        texts = sorted(found)
        random.Random(1).shuffle(texts)
        kept.write_text("\n".join(texts) + "\n")
    return kept
