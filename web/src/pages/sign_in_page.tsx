import { useEffect, useState, type FormEvent } from "react";
import { useLocation } from "wouter";
import { api, type About, type Session } from "../api";

export function SignInPage({ about, onSignedIn }: { about: About; onSignedIn: (session: Session) => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [failure, setFailure] = useState("");
  const [busy, setBusy] = useState(false);
  const [, navigate] = useLocation();

  const enter = async (body: { email: string; password: string } | { token: string }) => {
    setBusy(true);
    setFailure("");
    try {
      const session = await api.signIn(body);
      navigate("/", { replace: true });
      if (session) onSignedIn(session);
    } catch (error) {
      setFailure((error as Error).message);
      setBusy(false);
    }
  };

  useEffect(() => {
    // A one-time link carries its token behind '#', which is never sent to a server or kept in its log.
    const token = new URLSearchParams(window.location.hash.slice(1)).get("token");
    if (!token) return;
    window.history.replaceState(null, "", "/signin");
    void enter({ token });
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    void enter({ email, password });
  };
  const hint = about.sign_in_hint;
  return (
    <main className="center">
      <form className="card sign-in" onSubmit={submit}>
        <h1>{about.name}</h1>
        <label>
          E-mail
          <input type="text" inputMode="email" autoComplete="username" autoFocus required value={email} onChange={(e) => setEmail(e.target.value)} />
        </label>
        <label>
          Password
          <input type="password" autoComplete="current-password" required value={password} onChange={(e) => setPassword(e.target.value)} />
        </label>
        {failure && (
          <p className="failure" role="alert">
            {failure}
          </p>
        )}
        <button className="button primary" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        {hint && (
          <p className="hint">
            This is the sample shop.{" "}
            <button type="button" className="link" onClick={() => void enter(hint)}>
              Enter as {hint.email}
            </button>
          </p>
        )}
      </form>
    </main>
  );
}
