import { useState } from "react";
import { Link, useLocation } from "wouter";
import { api, type ChatEntry, type User } from "../api";
import { CloseIcon } from "./icons";

interface Props {
  chats: ChatEntry[];
  current: string;
  user: User;
  open: boolean;
  onClose: () => void;
  onSignOut: () => void;
  onDeleted: () => void;
}

/// The user's chats. A drawer on narrow screens.
export function Sidebar({ chats, current, user, open, onClose, onSignOut, onDeleted }: Props) {
  const [asked, setAsked] = useState("");
  const [, navigate] = useLocation();
  const remove = async (id: string) => {
    await api.deleteChat(id).catch(() => undefined);
    setAsked("");
    onDeleted();
    if (id === current) navigate("/");
  };
  return (
    <>
      {open && <div className="overlay drawer-overlay" onClick={onClose} />}
      <nav className={open ? "sidebar open" : "sidebar"} aria-label="Chats">
        <Link className="button primary" href="/" onClick={onClose}>
          New chat
        </Link>
        <ul>
          {chats.map((chat) => (
            <li key={chat.id} className={chat.id === current ? "current" : ""}>
              {asked === chat.id ? (
                <span className="confirm">
                  Delete it?
                  <button className="link" autoFocus onClick={() => void remove(chat.id)}>
                    Delete
                  </button>
                  <button className="link" onClick={() => setAsked("")}>
                    Keep
                  </button>
                </span>
              ) : (
                <>
                  <Link href={`/chat/${chat.id}`} onClick={onClose} aria-current={chat.id === current ? "page" : undefined}>
                    {chat.title}
                  </Link>
                  <button className="icon" aria-label={`Delete the chat “${chat.title}”`} onClick={() => setAsked(chat.id)}>
                    <CloseIcon />
                  </button>
                </>
              )}
            </li>
          ))}
          {chats.length === 0 && <li className="hint">Your chats will be listed here.</li>}
        </ul>
        <footer>
          {user.role !== "customer" && (
            <Link className="link" href="/answers">
              Answers
            </Link>
          )}
          {user.role === "admin" && (
            <Link className="link" href="/sources">
              Sources
            </Link>
          )}
          <span className="hint" title={user.email}>
            {user.name || user.email}
          </span>
          <button className="link" onClick={onSignOut}>
            Sign out
          </button>
        </footer>
      </nav>
    </>
  );
}
