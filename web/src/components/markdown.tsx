import ReactMarkdown from "react-markdown";
import remarkGfm from "remark-gfm";
import type { Citation } from "../api";
import { citationMarker, remarkCitations } from "../citations";

/// Streaming Markdown; [1] becomes a chip that opens the passage. Images are left out: a picture's address can carry data away.
export function Markdown({ text, citations, onCite }: { text: string; citations?: Map<number, Citation>; onCite?: (citation: Citation, occurrence: number) => void }) {
  const known = citations ?? new Map<number, Citation>();
  return (
    <div className="markdown">
      <ReactMarkdown
        remarkPlugins={[remarkGfm, [remarkCitations, new Set(known.keys())]]}
        components={{
          a: ({ href, children }) => {
            const marker = citationMarker(href);
            const citation = marker ? known.get(marker.number) : undefined;
            if (!marker || !citation)
              return (
                <a href={href} target="_blank" rel="noreferrer noopener">
                  {children}
                </a>
              );
            return (
              <button className="chip" aria-label={`Source ${marker.number}: ${citation.title}`} title={citation.title} onClick={() => onCite?.(citation, marker.occurrence)}>
                {marker.number}
              </button>
            );
          },
          img: ({ alt }) => <>{alt}</>,
        }}
      >
        {text}
      </ReactMarkdown>
    </div>
  );
}
