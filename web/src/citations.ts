/// Turns the markers [1] [2] of an answer into links that the page draws as citation chips.

interface Node {
  type: string;
  value?: string;
  url?: string;
  children?: Node[];
}

const kMarker = /\[(\d{1,3})\]/g;
const kPrefix = "#cite-";

export interface Marker {
  number: number;
  /// How many markers of that number stand before it in the answer.
  occurrence: number;
}

/// What a link made by `remarkCitations` carries; null for any other link.
export function citationMarker(href: string | undefined): Marker | null {
  if (!href?.startsWith(kPrefix)) return null;
  const [number, occurrence] = href.slice(kPrefix.length).split("-");
  return { number: Number(number), occurrence: Number(occurrence) };
}

function splitText(value: string, seen: Map<number, number>): Node[] {
  const nodes: Node[] = [];
  let at = 0;
  for (const match of value.matchAll(kMarker)) {
    const n = Number(match[1]);
    // A number nobody cited is ordinary text: "arr[0]", or a marker whose source the server withheld.
    const occurrence = seen.get(n);
    if (occurrence === undefined) continue;
    seen.set(n, occurrence + 1);
    if (match.index > at) nodes.push({ type: "text", value: value.slice(at, match.index) });
    nodes.push({ type: "link", url: `${kPrefix}${n}-${occurrence}`, children: [{ type: "text", value: String(n) }] });
    at = match.index + match[0].length;
  }
  nodes.push({ type: "text", value: value.slice(at) });
  return nodes;
}

function rewrite(node: Node, seen: Map<number, number>): void {
  // Links stay whole, for a link inside a link is not HTML. Code has no text children and so is left alone by itself.
  if (!node.children || node.type === "link") return;
  node.children = node.children.flatMap((child) => {
    if (child.type === "text") return splitText(child.value ?? "", seen);
    rewrite(child, seen);
    return [child];
  });
}

/// A remark plugin; `known` are the numbers of the citations that have arrived.
export function remarkCitations(known: ReadonlySet<number>) {
  return (tree: Node) => rewrite(tree, new Map([...known].map((number) => [number, 0])));
}
