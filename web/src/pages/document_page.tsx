import { useState } from "react";
import { useSearch } from "wouter";
import { DocumentView } from "../components/document_view";

/// A document at a place, by a link that can be passed on: /documents/ID?begin=…&end=… in bytes of its text. Who may not read it is told that there is none.
export function DocumentPage({ id }: { id: string }) {
  const [title, setTitle] = useState("");
  const query = new URLSearchParams(useSearch());
  const [begin, end] = ["begin", "end"].map((name) => Math.max(0, Math.trunc(Number(query.get(name)) || 0))) as [number, number];
  return (
    <main className="page">
      <p>
        <button className="link" onClick={() => window.history.back()}>
          ← Back
        </button>
      </p>
      <h1>{title || "Document"}</h1>
      <DocumentView document={id} span={[begin, Math.max(begin, end)]} onTitle={setTitle} />
    </main>
  );
}
