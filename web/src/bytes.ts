/// The server counts documents in UTF-8 bytes, JavaScript counts strings in UTF-16 units: this file is the bridge.

export interface Passage {
  before: string;
  passage: string;
  after: string;
}

/// Bytes that the code point takes in UTF-8. A lone surrogate counts 3, as the replacement character it is sent as.
function utf8Length(codePoint: number): number {
  if (codePoint < 0x80) return 1;
  if (codePoint < 0x800) return 2;
  return codePoint < 0x10000 ? 3 : 4;
}

/// Splits `text` at the byte offsets `begin` and `end`. Offsets past the text are cut to it; one inside a character widens the
/// passage to the whole character, so that no half of a surrogate pair is ever shown.
export function splitAtBytes(text: string, begin: number, end: number): Passage {
  let bytes = 0;
  let first = text.length;
  let last = text.length;
  for (let i = 0; i < text.length; ) {
    const codePoint = text.codePointAt(i)!;
    const next = i + (codePoint > 0xffff ? 2 : 1);
    const nextBytes = bytes + utf8Length(codePoint);
    if (first === text.length && nextBytes > begin) first = i;
    if (bytes >= end) {
      last = i;
      break;
    }
    i = next;
    bytes = nextBytes;
  }
  last = Math.max(first, last);
  return { before: text.slice(0, first), passage: text.slice(first, last), after: text.slice(last) };
}
