/// Turns the markers [1] [2] of an answer into links that the page draws as citation chips.

interface Node {
  type: string;
  value?: string;
  url?: string;
  children?: Node[];
}

const kMarker = /\[(\d{1,3})\]/g;
const kPrefix = "#cite-";

/// The citation number that a link made by `remarkCitations` carries; null for any other link.
export function citationNumber(href: string | undefined): number | null {
  return href?.startsWith(kPrefix) ? Number(href.slice(kPrefix.length)) : null;
}

function splitText(value: string, known: ReadonlySet<number>): Node[] {
  const nodes: Node[] = [];
  let at = 0;
  for (const match of value.matchAll(kMarker)) {
    const n = Number(match[1]);
    // A number nobody cited is ordinary text: "arr[0]", or a marker whose source the server withheld.
    if (!known.has(n)) continue;
    if (match.index > at) nodes.push({ type: "text", value: value.slice(at, match.index) });
    nodes.push({ type: "link", url: kPrefix + n, children: [{ type: "text", value: String(n) }] });
    at = match.index + match[0].length;
  }
  nodes.push({ type: "text", value: value.slice(at) });
  return nodes;
}

function rewrite(node: Node, known: ReadonlySet<number>): void {
  // Links stay whole, for a link inside a link is not HTML. Code has no text children and so is left alone by itself.
  if (!node.children || node.type === "link") return;
  node.children = node.children.flatMap((child) => {
    if (child.type === "text") return splitText(child.value ?? "", known);
    rewrite(child, known);
    return [child];
  });
}

/// A remark plugin; `known` are the numbers of the citations that have arrived.
export function remarkCitations(known: ReadonlySet<number>) {
  return (tree: Node) => rewrite(tree, known);
}
