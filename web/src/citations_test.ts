import assert from "node:assert/strict";
import { test } from "node:test";
import { citationMarker, remarkCitations } from "./citations";

const paragraph = (value: string) => ({ type: "root", children: [{ type: "paragraph", children: [{ type: "text", value }] }] });

test("makes a link of each known marker and keeps the text between", () => {
  const tree = paragraph("Free [1][2], mostly.");
  remarkCitations(new Set([1, 2]))(tree);
  const kinds = tree.children[0]!.children.map((n) => ("url" in n ? n.url : n.value));
  assert.deepEqual(kinds, ["Free ", "#cite-1-0", "#cite-2-0", ", mostly."]);
});

test("counts the markers of one number, for each supports its own sentence", () => {
  const tree = paragraph("One. [1] Two. [2] Three. [1]");
  remarkCitations(new Set([1, 2]))(tree);
  const links = tree.children[0]!.children.flatMap((n) => ("url" in n ? [n.url] : []));
  assert.deepEqual(links, ["#cite-1-0", "#cite-2-0", "#cite-1-1"]);
});

test("leaves numbers that nobody cited as text", () => {
  const tree = paragraph("items[0] and [9]");
  remarkCitations(new Set([1]))(tree);
  assert.deepEqual(tree.children[0]!.children, [{ type: "text", value: "items[0] and [9]" }]);
});

test("reads a number only from its own links", () => {
  assert.deepEqual(citationMarker("#cite-12-3"), { number: 12, occurrence: 3 });
  assert.equal(citationMarker("https://example.com/#cite-1-0"), null);
  assert.equal(citationMarker(undefined), null);
});
