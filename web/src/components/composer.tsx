import { useEffect, useRef, useState, type KeyboardEvent } from "react";

const kMaxBytes = 8192;

/// Enter sends, Shift+Enter breaks the line, Escape stops the answer.
export function Composer({ busy, onSend, onStop }: { busy: boolean; onSend: (text: string) => void; onStop: () => void }) {
  const [text, setText] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  const tooLong = new TextEncoder().encode(text).length > kMaxBytes;

  useEffect(() => box.current?.focus(), []);
  useEffect(() => {
    if (!box.current) return;
    box.current.style.height = "auto";
    box.current.style.height = `${Math.min(box.current.scrollHeight, 200)}px`;
  }, [text]);

  const send = () => {
    if (busy || tooLong || !text.trim()) return;
    onSend(text.trim());
    setText("");
    box.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && busy) {
      onStop();
    }
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea ref={box} rows={1} aria-label="Your message" placeholder="Ask a question" value={text} onChange={(e) => setText(e.target.value)} onKeyDown={onKey} />
      {busy ? (
        <button type="button" className="button" onClick={onStop}>
          Stop
        </button>
      ) : (
        <button className="button primary" disabled={!text.trim() || tooLong}>
          Send
        </button>
      )}
      {tooLong && (
        <p className="failure" role="alert">
          A message may have 8,192 bytes. Please shorten it.
        </p>
      )}
    </form>
  );
}
