import { useState } from "react";
import { api } from "../api";
import { DownIcon, UpIcon } from "./icons";

/// Thumbs; the one down asks what was wrong.
export function Feedback({ answer }: { answer: string }) {
  const [rating, setRating] = useState(0);
  const [asking, setAsking] = useState(false);
  const [comment, setComment] = useState("");
  const [failure, setFailure] = useState("");

  const rate = (value: number) => {
    const next = rating === value ? 0 : value;
    setFailure("");
    api.feedback(answer, next).then(
      () => {
        setRating(next);
        setAsking(next === -1);
      },
      (error: Error) => setFailure(error.message),
    );
  };
  const send = () => {
    api.feedback(answer, -1, comment).then(
      () => setAsking(false),
      (error: Error) => setFailure(error.message),
    );
  };
  return (
    <>
      <button className="icon" aria-label="Good answer" aria-pressed={rating === 1} onClick={() => rate(1)}>
        <UpIcon />
      </button>
      <button className="icon" aria-label="Bad answer" aria-pressed={rating === -1} onClick={() => rate(-1)}>
        <DownIcon />
      </button>
      {asking && (
        <form
          className="comment"
          onSubmit={(event) => {
            event.preventDefault();
            send();
          }}
        >
          <input aria-label="What was wrong?" placeholder="What was wrong? (optional)" maxLength={1000} autoFocus value={comment} onChange={(e) => setComment(e.target.value)} />
          <button className="button">Send comment</button>
        </form>
      )}
      {failure && (
        <span className="failure" role="alert">
          {failure}
        </span>
      )}
    </>
  );
}
