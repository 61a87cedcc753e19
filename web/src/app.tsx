import { useEffect, useState } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { api, type About, type Session } from "./api";
import { AnswersPage } from "./pages/answers_page";
import { ChatPage } from "./pages/chat_page";
import { DocumentPage } from "./pages/document_page";
import { PedigreePage } from "./pages/pedigree_page";
import { SourcesPage } from "./pages/sources_page";
import { SignInPage } from "./pages/sign_in_page";

/// Which page is shown, and to whom.
export function App() {
  const [session, setSession] = useState<Session | null | undefined>(undefined);
  const [about, setAbout] = useState<About | null>(null);
  const [failure, setFailure] = useState("");
  const [location] = useLocation();

  useEffect(() => {
    Promise.all([api.session(), api.about()])
      .then(([found, told]) => {
        document.title = told.name;
        setAbout(told);
        setSession(found);
      })
      .catch((error: Error) => setFailure(error.message));
  }, []);

  if (failure) return <Notice text={`The server cannot be reached. ${failure}`} action="Try again" onAction={() => window.location.reload()} />;
  if (session === undefined || !about) return <div className="center" aria-busy="true" />;
  if (!session) return location.startsWith("/signin") || location === "/" ? <SignInPage about={about} onSignedIn={setSession} /> : <Redirect to="/signin" />;

  const staff = session.user.role !== "customer";
  const signOut = async () => {
    await api.signOut().catch(() => undefined);
    window.location.assign("/signin");
  };
  return (
    <Switch>
      <Route path="/answers">{staff ? <AnswersPage /> : <Redirect to="/" />}</Route>
      <Route path="/answers/:id">{(params) => <PedigreePage id={params.id} staff={staff} />}</Route>
      <Route path="/sources">{session.user.role === "admin" ? <SourcesPage /> : <Redirect to="/" />}</Route>
      <Route path="/documents/:id">{(params) => <DocumentPage id={params.id} />}</Route>
      <Route path="/signin">
        <Redirect to="/" />
      </Route>
      <Route path="/chat/:id">{(params) => <ChatPage key={params.id} id={params.id} about={about} user={session.user} onSignOut={signOut} />}</Route>
      <Route path="/">
        <NewChat />
      </Route>
      <Route>
        <Notice text="There is no such page." action="To the chat" href="/" />
      </Route>
    </Switch>
  );
}

function NewChat() {
  return <Redirect to={`/chat/${crypto.randomUUID()}`} replace />;
}

export function Notice({ text, action, href, onAction }: { text: string; action: string; href?: string; onAction?: () => void }) {
  return (
    <main className="center">
      <p role="alert">{text}</p>
      {href ? (
        <Link className="button" href={href}>
          {action}
        </Link>
      ) : (
        <button className="button" onClick={onAction}>
          {action}
        </button>
      )}
    </main>
  );
}
