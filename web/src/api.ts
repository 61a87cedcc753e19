/// Every call to the server. Errors carry the server's own words.
import type { UIMessage } from "ai";

export interface User {
  email: string;
  name: string;
  role: "customer" | "agent" | "admin";
}
export interface Session {
  user: User;
  csrf: string;
}
export interface About {
  name: string;
  greeting: string;
  suggestions: string[];
  version: string;
  sign_in_hint?: { email: string; password: string };
}
export interface Citation {
  number: number;
  document: string;
  title: string;
  uri: string;
  span: [number, number];
  quote: string;
}
/// Which bytes of a cited document support a sentence: the n-th of a number belongs to the n-th marker of that number.
export interface Support {
  number: number;
  span: [number, number];
}
export interface AnswerMetadata {
  answer?: string;
  version?: string;
  grounding?: number;
  total_us?: number;
  ttft_us?: number;
  completion_tokens?: number;
}
export type Message = UIMessage<AnswerMetadata, { citation: Citation; support: Support; verdict: { grounding: number; refused: boolean }; stage: { stage: string } }>;
export interface ChatEntry {
  id: string;
  title: string;
  updated: string;
}
export interface StoredDocument {
  id: string;
  uri: string;
  title: string;
  text: string;
  version: number;
  media_type: string;
  link: string;
  updated: string;
  pages: number;
}
export interface Place {
  page: number;
  left: number;
  top: number;
  right: number;
  bottom: number;
}
export interface Places {
  places: Place[];
  pages: { width: number; height: number }[];
}

let csrf = "";
export const csrfHeader = (): Record<string, string> => (csrf ? { "x-csrf-token": csrf } : {});

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/// The server's error body as one sentence.
export function errorText(body: string, fallback: string): string {
  try {
    const parsed = JSON.parse(body) as { error?: { message?: string } };
    const message = parsed.error?.message ?? fallback;
    return message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
  } catch {
    return body || fallback;
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(path, {
    method,
    credentials: "same-origin",
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...(method === "GET" ? {} : csrfHeader()) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new ApiError(response.status, errorText(text, `The server answered ${response.status}.`));
  return (text ? JSON.parse(text) : undefined) as T;
}

function keep(session: Session | { user: null }): Session | null {
  csrf = session.user ? (session as Session).csrf : "";
  return session.user ? (session as Session) : null;
}

export const api = {
  about: () => call<About>("GET", "/api/assistant"),
  session: async () => keep(await call<Session | { user: null }>("GET", "/api/session")),
  signIn: async (body: { email: string; password: string } | { token: string }) => keep(await call<Session>("POST", "/api/session", body)),
  signOut: async () => {
    await call<void>("DELETE", "/api/session");
    csrf = "";
  },
  chats: async () => (await call<{ chats: ChatEntry[] }>("GET", "/api/chats")).chats,
  chat: (id: string) => call<{ id: string; title: string; messages: Message[] }>("GET", `/api/chats/${encodeURIComponent(id)}`),
  deleteChat: (id: string) => call<void>("DELETE", `/api/chats/${encodeURIComponent(id)}`),
  stop: (id: string) => call<void>("POST", `/api/chat/${encodeURIComponent(id)}/stop`, {}),
  feedback: (answer: string, rating: number, comment = "") => call<void>("POST", "/api/feedback", { answer, rating, comment }),
  document: (id: string) => call<StoredDocument>("GET", `/api/documents/${encodeURIComponent(id)}`),
  places: (id: string, span: [number, number]) => call<Places>("GET", `/api/documents/${encodeURIComponent(id)}/places?begin=${span[0]}&end=${span[1]}`),
  sources: async () => (await call<{ sources: Source[] }>("GET", "/v1/sources")).sources,
  source: (id: string) => call<Source & { problems: SourceProblem[] }>("GET", `/v1/sources/${encodeURIComponent(id)}`),
  addSource: (body: { url: string; label: string; dry_run: boolean }) => call<{ id: string; run: string }>("POST", "/v1/sources", body),
  readSource: (id: string) => call<{ run: string }>("POST", `/v1/sources/${encodeURIComponent(id)}/ingest`, {}),
  removeSource: (id: string) => call<{ documents: number }>("DELETE", `/v1/sources/${encodeURIComponent(id)}`),
  run: (id: string) => call<Run>("GET", `/v1/runs/${encodeURIComponent(id)}`),
  answers: async () => (await call<{ answers: AnswerEntry[] }>("GET", "/api/answers?limit=100")).answers,
  answer: (id: string) => call<Pedigree>("GET", `/api/answers/${encodeURIComponent(id)}`),
};

export interface SourceReport {
  added: number;
  changed: number;
  unchanged: number;
  relabelled: number;
  removed: number;
  problem_count: number;
  problems?: { path: string; problem: string }[];
  plan?: { path: string; change: string }[];
}
export interface Source {
  id: string;
  url: string;
  label: string;
  owner: string;
  scanned: string | null;
  documents: number;
  left_out: number;
  reading: boolean;
  so_far: SourceReport | null;
  report: SourceReport | null;
  error: string;
}
export interface SourceProblem {
  path: string;
  problem: string;
  attempts: number;
  at: string;
}
export interface Run {
  id: string;
  state: "queued" | "running" | "waiting" | "finished" | "failed" | "cancelled";
  output: unknown;
  error: string;
}
export interface AnswerEntry {
  id: string;
  question: string;
  user: string;
  asked_at: string;
  route: string;
  grounding: number;
  rating: number;
  total_us: number;
  refused: boolean;
}
export interface Pedigree {
  id: string;
  question: string;
  answer: string;
  user: string;
  asked_at: string;
  state: string;
  route: string;
  refused: boolean;
  grounding: number;
  commit: number;
  version: { root: string; alias: string | null; parts?: Record<string, { hash: string; body: unknown }> };
  sources: {
    number: number;
    chunk: string;
    score: number;
    cosine: number;
    bm25: number;
    text: string | null;
    span: [number, number];
    document: { id: string; uri: string; title: string; version: number };
    run: string | null;
    source_url: string | null;
  }[];
  tools: { name: string; input: unknown; output?: unknown; approved?: boolean }[];
  verdicts: { name: string; verdict: string; score?: number; detail?: unknown }[];
  sentences: { text: string; supported: boolean; score: number; source: number | null; span?: [number, number] | null }[];
  usage: { model: string; prompt_tokens: number; cached_tokens: number; completion_tokens: number; cost_micro_usd: number; ttft_us: number; total_us: number };
  spans: { name: string; span_id: string; parent_id: string; start_us: number; duration_us: number }[];
  steps: { name: string; started_us: number; finished_us: number; attempts: number }[];
  feedback: { rating: number; comment: string } | null;
}
