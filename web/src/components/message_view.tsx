import { useState } from "react";
import { Link } from "wouter";
import { type Citation, type Message } from "../api";
import { Feedback } from "./feedback";
import { CopyIcon, DoneIcon } from "./icons";
import { Markdown } from "./markdown";
import { ToolCard } from "./tool_card";

/// One message: text with citations, tool cards, and below an answer what can be done with it.
export function MessageView(props: { message: Message; streaming: boolean; onCite: (citation: Citation, support?: [number, number]) => void; onApprove: (approval: string, approved: boolean) => void }) {
  const { message, streaming, onCite, onApprove } = props;
  const [copied, setCopied] = useState(false);
  const text = message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  if (message.role === "user") return <article className="message user">{text}</article>;

  const citations = new Map<number, Citation>();
  for (const part of message.parts) if (part.type === "data-citation") citations.set(part.data.number, part.data);
  // In the order of their markers; an answer that cites is one text part.
  const supports = new Map<number, [number, number][]>();
  for (const part of message.parts) if (part.type === "data-support") supports.set(part.data.number, [...(supports.get(part.data.number) ?? []), part.data.span]);
  const answer = message.metadata?.answer;
  return (
    <article className="message assistant" aria-label="Answer">
      {message.parts.map((part, index) => {
        if (part.type === "text") return <Markdown key={index} text={part.text} citations={citations} onCite={(citation, occurrence) => onCite(citation, supports.get(citation.number)?.[occurrence])} />;
        if (part.type === "dynamic-tool" && part.toolName !== "search_knowledge") return <ToolCard key={part.toolCallId} part={part} onApprove={onApprove} />;
        return null;
      })}
      {citations.size > 0 && (
        <ol className="sources" aria-label="Sources">
          {[...citations.values()].map((citation) => (
            <li key={citation.number}>
              <button className="link" onClick={() => onCite(citation)}>
                {citation.number}. {citation.title}
              </button>
            </li>
          ))}
        </ol>
      )}
      {answer && text && !streaming && (
        <div className="actions">
          <button
            className="icon"
            aria-label="Copy the answer"
            title="Copy"
            onClick={() => {
              void navigator.clipboard?.writeText(text).then(() => {
                setCopied(true);
                setTimeout(() => setCopied(false), 1500);
              });
            }}
          >
            {copied ? <DoneIcon /> : <CopyIcon />}
          </button>
          <Feedback answer={answer} />
          <Link className="link" href={`/answers/${answer}`}>
            How this answer came about
          </Link>
        </div>
      )}
    </article>
  );
}
