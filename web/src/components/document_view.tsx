import { useEffect, useRef, useState } from "react";
import { api, type Places, type StoredDocument } from "../api";
import { splitAtBytes } from "../bytes";
import { Markdown } from "./markdown";

export interface ViewProps {
  document: string;
  /// Bytes of the document's text that were cited: a passage.
  span: [number, number];
  /// Bytes of it that support one sentence of the answer.
  support?: [number, number];
}

/// A document at the cited place: its page with boxes over the lines where it has pages, its text with the passage marked where it has none.
export function DocumentView({ document: id, span, support, onTitle }: ViewProps & { onTitle?: (title: string) => void }) {
  const [found, setFound] = useState<StoredDocument | null>(null);
  const [places, setPlaces] = useState<Places | null>(null);
  const [failure, setFailure] = useState("");
  const [asText, setAsText] = useState(false);
  const [begin, end] = support ?? span;
  useEffect(() => {
    setFound(null);
    setPlaces(null);
    setFailure("");
    Promise.all([api.document(id), api.places(id, [begin, end])])
      .then(([document, where]) => {
        setFound(document);
        setPlaces(where);
        onTitle?.(document.title);
      })
      .catch((error: Error) => setFailure(error.message));
  }, [id, begin, end, onTitle]);
  if (failure)
    return (
      <p className="failure" role="alert">
        {failure}
      </p>
    );
  if (!found || !places) return <div aria-busy="true" />;
  const drawable = /^(application\/pdf|image\/(png|jpeg))$/.test(found.media_type) && places.pages.length > 0;
  const page = places.places[0]?.page;
  const original = `/v1/documents/${encodeURIComponent(id)}/content`;
  return (
    <>
      <p className="hint">
        {found.uri}
        {page ? `, page ${page}` : ""} · <a href={original}>Original</a>
        {/^https?:/.test(found.link) && (
          <>
            {" "}
            ·{" "}
            <a href={found.link} target="_blank" rel="noreferrer noopener">
              In its source
            </a>
          </>
        )}
        {drawable && (
          <>
            {" "}
            ·{" "}
            <button className="link" onClick={() => setAsText(!asText)}>
              {asText ? "As pages" : "As text"}
            </button>
          </>
        )}
      </p>
      {drawable && !asText ? <PageView document={found} places={places} first={page ?? 1} /> : <TextView text={found.text} span={span} support={support} />}
    </>
  );
}

function TextView({ text, span, support }: { text: string; span: [number, number]; support?: [number, number] }) {
  const mark = useRef<HTMLElement>(null);
  useEffect(() => {
    mark.current?.scrollIntoView({ block: "center" });
  }, [text, span, support]);
  const passage = splitAtBytes(text, span[0], span[1]);
  // The sentence inside its passage; a support outside of it (the text was read again since) is not forced into it.
  const inside = support && support[0] >= span[0] && support[1] <= span[1] && support[1] > support[0] && (support[0] > span[0] || support[1] < span[1]);
  const sentence = inside ? splitAtBytes(passage.passage, support[0] - span[0], support[1] - span[0]) : null;
  return (
    <div className="document">
      <Markdown text={passage.before} />
      {sentence ? (
        <div className="passage">
          <Markdown text={sentence.before} />
          <mark ref={mark}>
            <Markdown text={sentence.passage} />
          </mark>
          <Markdown text={sentence.after} />
        </div>
      ) : (
        <mark ref={mark}>
          <Markdown text={passage.passage} />
        </mark>
      )}
      <Markdown text={passage.after} />
    </div>
  );
}

function PageView({ document, places, first }: { document: StoredDocument; places: Places; first: number }) {
  const [page, setPage] = useState(first);
  const [failed, setFailed] = useState(false);
  const box = useRef<HTMLSpanElement>(null);
  useEffect(() => setPage(first), [first]);
  useEffect(() => setFailed(false), [page]);
  const size = places.pages[page - 1];
  const here = places.places.filter((place) => place.page === page && place.right > place.left);
  const turn = (to: number) => to >= 1 && to <= places.pages.length && setPage(to);
  return (
    <div
      className="pages"
      tabIndex={0}
      aria-label="Page"
      onKeyDown={(event) => {
        if (event.key === "ArrowLeft" || event.key === "PageUp") turn(page - 1);
        else if (event.key === "ArrowRight" || event.key === "PageDown") turn(page + 1);
        else return;
        event.preventDefault();
      }}
    >
      <nav>
        <button className="button" disabled={page <= 1} onClick={() => turn(page - 1)}>
          Previous page
        </button>
        <span>
          Page {page} of {places.pages.length}
        </span>
        <button className="button" disabled={page >= places.pages.length} onClick={() => turn(page + 1)}>
          Next page
        </button>
      </nav>
      {failed ? (
        <p className="failure" role="alert">
          This page cannot be drawn. Read the document as text, or open the original.
        </p>
      ) : (
        <div className="sheet" style={size ? { aspectRatio: `${size.width} / ${size.height}` } : undefined}>
          <img
            src={`/api/documents/${encodeURIComponent(document.id)}/pages/${page}`}
            alt={`Page ${page} of ${document.title}`}
            onLoad={() => box.current?.scrollIntoView({ block: "center" })}
            onError={() => setFailed(true)}
          />
          {size &&
            here.map((place, index) => (
              <span
                key={index}
                ref={index === 0 ? box : undefined}
                className="place"
                style={{
                  left: `${(100 * place.left) / size.width}%`,
                  top: `${(100 * place.top) / size.height}%`,
                  width: `${(100 * (place.right - place.left)) / size.width}%`,
                  height: `${(100 * (place.bottom - place.top)) / size.height}%`,
                }}
              />
            ))}
        </div>
      )}
    </div>
  );
}
