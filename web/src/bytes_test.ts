import assert from "node:assert/strict";
import { test } from "node:test";
import { splitAtBytes } from "./bytes";

const bytesOf = (text: string) => new TextEncoder().encode(text);

test("splits ASCII where the bytes say", () => {
  assert.deepEqual(splitAtBytes("hello world", 6, 11), { before: "hello ", passage: "world", after: "" });
});

test("finds every span of a text with 1, 2, 3 and 4 byte characters", () => {
  const text = "aé€😀z\n“ok”";
  const characters = [...text];
  for (let from = 0; from <= characters.length; ++from) {
    for (let to = from; to <= characters.length; ++to) {
      const before = characters.slice(0, from).join("");
      const passage = characters.slice(from, to).join("");
      const begin = bytesOf(before).length;
      const got = splitAtBytes(text, begin, begin + bytesOf(passage).length);
      assert.equal(got.passage, passage);
      assert.equal(got.before + got.passage + got.after, text);
    }
  }
});

test("widens to the whole character when an offset falls inside one", () => {
  assert.equal(splitAtBytes("a😀b", 3, 4).passage, "😀");
});

test("cuts offsets that lie past the text", () => {
  assert.deepEqual(splitAtBytes("short", 2, 999), { before: "sh", passage: "ort", after: "" });
  assert.deepEqual(splitAtBytes("short", 50, 60), { before: "short", passage: "", after: "" });
  assert.equal(splitAtBytes("", 0, 5).passage, "");
});
