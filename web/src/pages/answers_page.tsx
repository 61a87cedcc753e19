import { useEffect, useState } from "react";
import { Link } from "wouter";
import { api, type AnswerEntry } from "../api";
import { Page } from "../components/page";

/// The newest answers, for staff.
export function AnswersPage() {
  const [answers, setAnswers] = useState<AnswerEntry[] | null>(null);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    api.answers().then(setAnswers, (error: Error) => setFailure(error.message));
  }, []);
  return (
    <Page title="Answers" failure={failure}>
      {answers?.length === 0 && <p className="hint">Nobody has asked anything yet.</p>}
      {answers && answers.length > 0 && (
        <div className="table">
          <table>
            <thead>
              <tr>
                <th>Question</th>
                <th>Asked by</th>
                <th>When</th>
                <th>Way</th>
                <th>Grounding</th>
                <th>Rating</th>
                <th>Time</th>
              </tr>
            </thead>
            <tbody>
              {answers.map((answer) => (
                <tr key={answer.id}>
                  <td>
                    <Link href={`/answers/${answer.id}`}>{answer.question}</Link>
                  </td>
                  <td>{answer.user}</td>
                  <td>{new Date(answer.asked_at).toLocaleString()}</td>
                  <td>{answer.refused ? "refused" : answer.route.replace("_", " ")}</td>
                  <td>{Math.round(answer.grounding * 100)} %</td>
                  <td>{answer.rating > 0 ? "good" : answer.rating < 0 ? "bad" : ""}</td>
                  <td>{Math.round(answer.total_us / 1000)} ms</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Page>
  );
}
