import assert from "node:assert/strict";
import { test } from "node:test";
import { citationNumber, remarkCitations } from "./citations";

const paragraph = (value: string) => ({ type: "root", children: [{ type: "paragraph", children: [{ type: "text", value }] }] });

test("makes a link of each known marker and keeps the text between", () => {
  const tree = paragraph("Free [1][2], mostly.");
  remarkCitations(new Set([1, 2]))(tree);
  const kinds = tree.children[0]!.children.map((n) => ("url" in n ? n.url : n.value));
  assert.deepEqual(kinds, ["Free ", "#cite-1", "#cite-2", ", mostly."]);
});

test("leaves numbers that nobody cited as text", () => {
  const tree = paragraph("items[0] and [9]");
  remarkCitations(new Set([1]))(tree);
  assert.deepEqual(tree.children[0]!.children, [{ type: "text", value: "items[0] and [9]" }]);
});

test("reads a number only from its own links", () => {
  assert.equal(citationNumber("#cite-12"), 12);
  assert.equal(citationNumber("https://example.com/#cite-1"), null);
  assert.equal(citationNumber(undefined), null);
});
