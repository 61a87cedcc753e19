import { useEffect, useState, type ReactNode } from "react";
import { Link } from "wouter";
import { api, type Pedigree } from "../api";

const ms = (us: number) => (us < 10_000 ? (us / 1000).toFixed(1) : Math.round(us / 1000).toLocaleString()) + " ms";

/// A verdict's detail in words: numbers with two digits.
const detail = (value: unknown): string =>
  value !== null && typeof value === "object"
    ? Object.entries(value)
        .map(([name, item]) => `${name.replace("_", " ")} ${typeof item === "number" && !Number.isInteger(item) ? item.toFixed(2) : String(item)}`)
        .join(", ")
    : String(value);

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="card">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/// A sentence's source, which opens the document where it says so.
function SourceMark({ pedigree, number, span }: { pedigree: Pedigree; number: number; span?: [number, number] | null }) {
  const source = pedigree.sources.find((one) => one.number === number);
  if (!source || !span || source.text === null) return <sup>[{number}]</sup>;
  return (
    <sup>
      <Link href={`/documents/${encodeURIComponent(source.document.id)}?begin=${span[0]}&end=${span[1]}`} title={source.document.title}>
        [{number}]
      </Link>
    </sup>
  );
}

/// The spans of the answer as a waterfall: when each began, how long it took.
function Timeline({ spans }: { spans: Pedigree["spans"] }) {
  if (spans.length === 0) return <p className="hint">The timings of this answer are no longer kept.</p>;
  const ordered = [...spans].sort((a, b) => a.start_us - b.start_us || b.duration_us - a.duration_us);
  const begin = ordered[0]!.start_us;
  const whole = Math.max(1, ...ordered.map((span) => span.start_us + span.duration_us - begin));
  return (
    <ul className="timeline">
      {ordered.map((span) => (
        <li key={span.span_id}>
          <span>{span.name}</span>
          <span className="track">
            <span style={{ left: `${(100 * (span.start_us - begin)) / whole}%`, width: `${Math.max(0.4, (100 * span.duration_us) / whole)}%` }} />
          </span>
          <span>{ms(span.duration_us)}</span>
        </li>
      ))}
    </ul>
  );
}

/// How an answer came about: from the words back to the documents, the version and the runs.
export function PedigreePage({ id, staff }: { id: string; staff: boolean }) {
  const [found, setFound] = useState<Pedigree | null>(null);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    api.answer(id).then(setFound, (error: Error) => setFailure(error.message));
  }, [id]);
  if (failure) return <main className="center"><p role="alert">{failure}</p><Link className="button" href="/">To the chat</Link></main>;
  if (!found) return <div className="center" aria-busy="true" />;
  const { usage, version } = found;
  return (
    <main className="page">
      <p>
        <button className="link" onClick={() => window.history.back()}>← Back</button>
        {staff && <> · <Link className="link" href="/answers">All answers</Link></>}
      </p>
      <h1>How this answer came about</h1>
      <Section title="Question and answer">
        <p className="quoted">{found.question}</p>
        {found.sentences.length > 0 ? (
          <p>
            {found.sentences.map((sentence, index) => (
              <span key={index} className={sentence.supported ? "supported" : "unsupported"} title={`${sentence.supported ? "supported" : "not supported, not shown"}: ${sentence.score.toFixed(2)}`}>
                {sentence.text} {sentence.source !== null && <SourceMark pedigree={found} number={sentence.source} span={sentence.span} />}{" "}
              </span>
            ))}
          </p>
        ) : (
          <p>{found.answer}</p>
        )}
        <dl>
          <div><dt>Asked</dt><dd>{new Date(found.asked_at).toLocaleString()} by {found.user}</dd></div>
          <div><dt>Way</dt><dd>{found.route.replace("_", " ")}{found.refused ? ", refused" : ""}</dd></div>
          <div><dt>Grounding</dt><dd>{Math.round(found.grounding * 100)} % of what was written is supported</dd></div>
          {found.feedback && <div><dt>Feedback</dt><dd>{found.feedback.rating > 0 ? "good" : "bad"}{found.feedback.comment && `: ${found.feedback.comment}`}</dd></div>}
        </dl>
      </Section>
      <Section title="Sources">
        {found.sources.length === 0 && <p className="hint">No passage was cited.</p>}
        {found.sources.map((source) => (
          <details key={source.number}>
            <summary>
              [{source.number}] {source.document.title} <span className="hint">{source.document.uri}, version {source.document.version}</span>
            </summary>
            <p className="quoted">{source.text ?? "This passage is no longer there, or not yours to read."}</p>
            <p className="hint">
              cosine {source.cosine.toFixed(2)} · BM25 {source.bm25.toFixed(1)} · rank score {source.score.toFixed(2)} · bytes {source.span[0]} to {source.span[1]} · read by {source.run ?? "an earlier run"} from {source.source_url ?? "its source"}
            </p>
          </details>
        ))}
      </Section>
      {found.tools.length > 0 && (
        <Section title="Tools">
          {found.tools.map((tool, index) => (
            <details key={index}>
              <summary>{tool.name}{tool.approved === undefined ? "" : tool.approved ? ", confirmed" : ", declined"}</summary>
              <pre>{JSON.stringify({ input: tool.input, output: tool.output }, null, 2)}</pre>
            </details>
          ))}
        </Section>
      )}
      <Section title="Verdicts">
        <ul>
          {found.verdicts.map((verdict, index) => (
            <li key={index}>
              <strong>{verdict.name}</strong>: {verdict.verdict}{verdict.score === undefined ? "" : ` (${verdict.score.toFixed(2)})`}
              {verdict.detail ? <span className="hint"> {detail(verdict.detail)}</span> : null}
            </li>
          ))}
        </ul>
      </Section>
      <Section title="Time and tokens">
        <p>
          First words after {ms(usage.ttft_us)}, all after {ms(usage.total_us)}.{" "}
          {usage.model ? `${usage.model}: ${usage.prompt_tokens} tokens read (${usage.cached_tokens} kept from before), ${usage.completion_tokens} written${usage.cost_micro_usd ? ` for $${(usage.cost_micro_usd / 1e6).toFixed(6)}` : ""}.` : "No model wrote."}
        </p>
        <Timeline spans={found.spans} />
      </Section>
      <Section title="Version">
        <p><code>{version.root.slice(0, 16)}</code>{version.alias && <span className="badge">{version.alias}</span>} <span className="hint">data as of commit {found.commit}</span></p>
        {Object.entries(version.parts ?? {}).map(([kind, part]) => (
          <details key={kind}>
            <summary>{kind} <code>{part.hash.slice(0, 10)}</code></summary>
            <pre>{JSON.stringify(part.body, null, 2)}</pre>
          </details>
        ))}
      </Section>
      <Section title="Run">
        <p><code>{found.id}</code> {found.state}</p>
        <ul>{found.steps.map((step) => <li key={step.name}>{step.name}: {ms(step.finished_us - step.started_us)}{step.attempts > 1 ? `, ${step.attempts} attempts` : ""}</li>)}</ul>
      </Section>
    </main>
  );
}
