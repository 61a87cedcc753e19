import { useCallback, useEffect, useState, type FormEvent } from "react";
import { api, type Run, type Source, type SourceProblem, type SourceReport } from "../api";
import { Page } from "../components/page";

const watchEvery = 1000; // milliseconds
const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/// What a reading came to, or would.
export function reportText(report: SourceReport): string {
  const parts: [number, string][] = [
    [report.added, "added"],
    [report.changed, "changed"],
    [report.unchanged, "unchanged"],
    [report.relabelled, "with other readers"],
    [report.removed, "removed"],
    [report.problem_count, "left out"],
  ];
  return parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`).join(", ") || "nothing there";
}

async function ended(id: string): Promise<Run> {
  for (;;) {
    const run = await api.run(id);
    if (["finished", "failed", "cancelled"].includes(run.state)) return run;
    await new Promise((resolve) => setTimeout(resolve, watchEvery));
  }
}

/// Where documents come from, for admins: how each source stands, read it again, add one, remove one.
export function SourcesPage() {
  const [sources, setSources] = useState<Source[] | null>(null);
  const [failure, setFailure] = useState("");
  const [started, setStarted] = useState(0);
  const load = useCallback(
    () =>
      api.sources().then(
        (found) => {
          setSources(found);
          setFailure("");
        },
        (error: Error) => setFailure(error.message),
      ),
    [],
  );
  const busy = started > 0 || sources?.some((source) => source.reading);
  useEffect(() => {
    void load();
    if (!busy) return;
    const timer = setInterval(() => void load(), watchEvery);
    return () => clearInterval(timer);
  }, [load, busy]);
  /// Follows a run to its end, with the list kept fresh meanwhile.
  const follow = useCallback(
    async (run: Promise<{ run: string }>) => {
      setStarted((n) => n + 1);
      try {
        return await ended((await run).run);
      } finally {
        setStarted((n) => n - 1);
        await load();
      }
    },
    [load],
  );
  return (
    <Page title="Sources" failure={failure}>
      {sources?.length === 0 && <p className="hint">No documents come from anywhere yet. Add a source below, or a folder of the server with “tenfold ingest folder:PATH”.</p>}
      {sources?.map((source) => <SourceCard key={source.id} source={source} follow={follow} onRemoved={load} />)}
      {sources && <AddSource follow={follow} />}
    </Page>
  );
}

type Follow = (run: Promise<{ run: string }>) => Promise<Run>;

function SourceCard({ source, follow, onRemoved }: { source: Source; follow: Follow; onRemoved: () => Promise<void> }) {
  const [asked, setAsked] = useState(false);
  const [working, setWorking] = useState(false);
  const [failure, setFailure] = useState("");
  const attempt = async (action: () => Promise<unknown>) => {
    setWorking(true);
    setFailure("");
    try {
      await action();
    } catch (error) {
      setFailure((error as Error).message);
    }
    setWorking(false);
  };
  const readAgain = async () => {
    const run = await follow(api.readSource(source.id));
    if (run.state !== "finished") throw new Error(sentence(run.error || run.state));
  };
  const reading = source.reading || working;
  return (
    <section className="card" aria-label={source.url}>
      <h2 className="quiet-url">{source.url}</h2>
      <p>
        {source.documents} {source.documents === 1 ? "document" : "documents"}
        {" · "}
        {source.label ? `read by ${source.label}` : "readers as the source says"}
        {" · "}
        {source.scanned ? `read ${new Date(source.scanned).toLocaleString()}` : "never read to its end"}
      </p>
      <p className={reading ? "stage" : "hint"} role="status">
        {reading ? `Reading${source.so_far ? `: ${reportText(source.so_far)} so far` : "…"}` : source.report ? `Last time: ${reportText(source.report)}.` : ""}
      </p>
      {(failure || (source.error && !reading)) && <p className="failure" role="alert">{failure || sentence(source.error)}</p>}
      {source.left_out > 0 && <Problems id={source.id} count={source.left_out} scanned={source.scanned} />}
      <p className="choice">
        {asked ? (
          <>
            Its documents can no longer be found then.
            <button className="link" autoFocus onClick={() => void attempt(async () => (await api.removeSource(source.id), await onRemoved()))}>
              Remove
            </button>
            <button className="link" onClick={() => setAsked(false)}>
              Keep
            </button>
          </>
        ) : (
          <>
            <button className="button" disabled={reading} onClick={() => void attempt(readAgain)}>
              Read again
            </button>
            <button className="link" onClick={() => setAsked(true)}>
              Remove…
            </button>
          </>
        )}
      </p>
    </section>
  );
}

function Problems({ id, count, scanned }: { id: string; count: number; scanned: string | null }) {
  const [problems, setProblems] = useState<SourceProblem[] | null>(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (open) api.source(id).then((source) => setProblems(source.problems), () => setProblems([]));
  }, [open, id, count, scanned]);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{count} left out</summary>
      {problems && (
        <ul>
          {problems.map((one) => (
            <li key={one.path}>
              {one.path}: {one.problem}
            </li>
          ))}
          {problems.length < count && <li>and {count - problems.length} more</li>}
        </ul>
      )}
    </details>
  );
}

function AddSource({ follow }: { follow: Follow }) {
  const [url, setUrl] = useState("");
  const [label, setLabel] = useState("");
  const [working, setWorking] = useState("");
  const [failure, setFailure] = useState("");
  const [planned, setPlanned] = useState<SourceReport | null>(null);
  const start = async (dryRun: boolean) => {
    setWorking(dryRun ? "Looking" : "Reading");
    setFailure("");
    setPlanned(null);
    try {
      const run = await follow(api.addSource({ url: url.trim(), label: label.trim(), dry_run: dryRun }));
      if (run.state !== "finished") setFailure(sentence(run.error || run.state));
      else if (dryRun) setPlanned(run.output as SourceReport);
      else setUrl("");
    } catch (error) {
      setFailure((error as Error).message);
    }
    setWorking("");
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void start(false);
  };
  return (
    <form className="card add-source" onSubmit={submit} aria-label="Add a source">
      <h2>Add a source</h2>
      <label>
        Address
        <input required value={url} onChange={(event) => setUrl(event.target.value)} placeholder="web:https://example.com/help/" spellCheck={false} />
      </label>
      <label>
        Readers
        <input value={label} onChange={(event) => setLabel(event.target.value)} placeholder="public" spellCheck={false} />
      </label>
      <p className="hint">web:, notion:, github:, openapi:, s3:, imap:, postgresql: or mongodb:. Readers is a label such as public or internal; where it is empty and the source says nothing, only you and admins read it.</p>
      <p className="choice">
        <button className="button primary" disabled={!!working || !url.trim()}>
          Add and read
        </button>
        <button type="button" className="button" disabled={!!working || !url.trim()} onClick={() => void start(true)}>
          Show what it would do
        </button>
      </p>
      {working && <p className="stage" role="status">{working}…</p>}
      {failure && <p className="failure" role="alert">{failure}</p>}
      {planned && (
        <div role="status">
          <p>It would come to: {reportText(planned)}.</p>
          <ul>
            {planned.plan?.slice(0, 100).map((one) => (
              <li key={one.path}>
                {one.change} {one.path}
              </li>
            ))}
            {planned.problems?.map((one) => (
              <li key={one.path} className="failure">
                leave out {one.path}: {one.problem}
              </li>
            ))}
          </ul>
        </div>
      )}
    </form>
  );
}
