import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api, ApiError, csrfHeader, errorText, type About, type ChatEntry, type Citation, type Message, type User } from "../api";
import { Composer } from "../components/composer";
import { DocumentPanel } from "../components/document_panel";
import { MenuIcon } from "../components/icons";
import { MessageView } from "../components/message_view";
import { Sidebar } from "../components/sidebar";

const kStages: Record<string, string> = { searching: "Searching the help centre…", writing: "Writing…" };

/// Loads what was said before, then hands over to the conversation.
export function ChatPage(props: { id: string; about: About; user: User; onSignOut: () => void }) {
  const [initial, setInitial] = useState<Message[] | null>(null);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    api
      .chat(props.id)
      .then((chat) => setInitial(chat.messages))
      .catch((error: Error) => {
        if (error instanceof ApiError && error.status === 404) setInitial([]);
        else setFailure(error.message);
      });
  }, [props.id]);
  if (failure) return <main className="center"><p role="alert">{failure}</p></main>;
  if (!initial) return <div className="center" aria-busy="true" />;
  return <Conversation {...props} initial={initial} />;
}

function Conversation({ id, about, user, onSignOut, initial }: { id: string; about: About; user: User; onSignOut: () => void; initial: Message[] }) {
  const [stage, setStage] = useState("");
  const [chats, setChats] = useState<ChatEntry[]>([]);
  const [drawer, setDrawer] = useState(false);
  const [cited, setCited] = useState<{ citation: Citation; support?: [number, number] } | null>(null);
  const transport = useMemo(
    () =>
      new DefaultChatTransport<Message>({
        api: "/api/chat",
        headers: csrfHeader,
        fetch: async (input, init) => {
          const response = await fetch(input, init);
          if (response.ok) return response;
          // What is shown is the body of the refusal: the server's sentence, not its JSON.
          return new Response(errorText(await response.text(), "The server could not answer."), { status: response.status });
        },
      }),
    [],
  );
  const { messages, sendMessage, status, stop, error, regenerate, clearError, addToolApprovalResponse } = useChat<Message>({
    id,
    messages: initial,
    resume: initial.at(-1)?.role === "user",
    transport,
    experimental_throttle: 40,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
    onData: (part) => {
      if (part.type === "data-stage") setStage((part.data as { stage: string }).stage);
    },
  });
  const busy = status === "submitted" || status === "streaming";

  const refreshChats = useCallback(() => void api.chats().then(setChats, () => undefined), []);
  useEffect(refreshChats, [refreshChats, status]);

  // The view follows the answer only while the reader is at its end.
  const scroller = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const box = scroller.current;
    if (box && atEnd.current) box.scrollTop = box.scrollHeight;
  }, [messages, stage]);

  const ask = (text: string) => {
    setStage("");
    atEnd.current = true;
    clearError();
    void sendMessage({ text });
  };
  const halt = () => {
    void api.stop(id).catch(() => undefined);
    void stop();
  };
  const last = messages.at(-1);
  const waiting = busy && (last?.role === "user" || !last?.parts.some((part) => part.type === "text"));
  return (
    <div className="layout">
      <Sidebar chats={chats} current={id} user={user} open={drawer} onClose={() => setDrawer(false)} onSignOut={onSignOut} onDeleted={refreshChats} />
      <main className="chat">
        <header>
          <button className="icon menu" aria-label="Open the list of chats" onClick={() => setDrawer(true)}>
            <MenuIcon />
          </button>
          <h1>{about.name}</h1>
        </header>
        <div
          className="messages"
          ref={scroller}
          onScroll={(event) => {
            const box = event.currentTarget;
            atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
          }}
        >
          <div className="column" role="log" aria-live="polite" aria-busy={busy}>
            {messages.length === 0 && (
              <section className="empty">
                <p>{about.greeting}</p>
                <div className="suggestions">
                  {about.suggestions.map((text) => (
                    <button key={text} className="button" onClick={() => ask(text)}>
                      {text}
                    </button>
                  ))}
                </div>
              </section>
            )}
            {messages.map((message, index) => (
              <MessageView
                key={message.id}
                message={message}
                streaming={busy && index === messages.length - 1}
                onCite={(citation, support) => setCited({ citation, support })}
                onApprove={(approval, approved) => void addToolApprovalResponse({ id: approval, approved })}
              />
            ))}
            {waiting && (
              <p className="stage" role="status">
                {kStages[stage] ?? "One moment…"}
              </p>
            )}
            {error && (
              <div className="failure" role="alert">
                {error.message || "The connection was lost."}{" "}
                <button className="link" onClick={() => void regenerate()}>
                  Try again
                </button>
              </div>
            )}
          </div>
        </div>
        <Composer busy={busy} onSend={ask} onStop={halt} />
      </main>
      {cited && <DocumentPanel document={cited.citation.document} span={cited.citation.span} support={cited.support} onClose={() => setCited(null)} />}
    </div>
  );
}
