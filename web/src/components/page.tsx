import type { ReactNode } from "react";
import { Link } from "wouter";

/// A page beside the chat: the way back, its title and, if it could not be loaded, why.
export function Page({ title, failure, children }: { title: string; failure: string; children: ReactNode }) {
  return (
    <main className="page">
      <p>
        <Link className="link" href="/">
          ← Chat
        </Link>
      </p>
      <h1>{title}</h1>
      {failure && <p className="failure" role="alert">{failure}</p>}
      {children}
    </main>
  );
}
