import type { DynamicToolUIPart } from "ai";

interface Order {
  id: string;
  status: string;
  placed_on?: string;
  promised_on?: string;
  delivered_on?: string;
  carrier?: string;
  tracking?: string;
  total_eur?: string;
  items: { product: string; quantity: number; price_eur: string }[];
}

function OrderCard({ order }: { order: Order }) {
  const rows: [string, string | undefined][] = [
    ["Placed", order.placed_on],
    ["Expected", order.status === "delivered" || order.status === "returned" ? undefined : order.promised_on],
    ["Delivered", order.delivered_on],
    ["Carrier", order.carrier],
    ["Tracking", order.tracking],
    ["Total", order.total_eur && `€${order.total_eur}`],
  ];
  return (
    <section className="card tool" aria-label={`Order ${order.id}`}>
      <h3>
        {order.id} <span className={`badge ${order.status}`}>{order.status}</span>
      </h3>
      <dl>
        {rows.map(
          ([name, value]) =>
            value && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
      <ul>
        {order.items.map((item) => (
          <li key={item.product}>
            {item.quantity} × {item.product}, €{item.price_eur}
          </li>
        ))}
      </ul>
    </section>
  );
}

/// What a tool was asked and gave. An effect shows what it would do and waits for a yes or no.
export function ToolCard({ part, onApprove }: { part: DynamicToolUIPart; onApprove: (approval: string, approved: boolean) => void }) {
  const output = part.state === "output-available" ? (part.output as { order?: Order; more?: Order[]; ticket?: { id: string; subject: string } }) : undefined;
  if (part.toolName === "get_order") return output?.order ? <>{[output.order, ...(output.more ?? [])].map((order) => <OrderCard key={order.id} order={order} />)}</> : null;

  const input = (part.input ?? {}) as Record<string, string>;
  return (
    <section className="card tool" aria-label={part.toolName === "open_ticket" ? "Ticket" : part.toolName}>
      <h3>
        {part.toolName === "open_ticket" ? "Open a ticket" : part.toolName}
        {output?.ticket && <span className="badge delivered">{output.ticket.id}</span>}
        {part.state === "output-denied" && <span className="badge">declined</span>}
      </h3>
      <dl>
        {Object.entries(input).map(
          ([name, value]) =>
            (name !== "body" || value !== input.subject) && (
              <div key={name}>
                <dt>{name.replace("_", " ")}</dt>
                <dd>{String(value)}</dd>
              </div>
            ),
        )}
      </dl>
      {part.state === "approval-requested" && (
        <div className="choice">
          <button className="button primary" onClick={() => onApprove(part.approval.id, true)}>
            Confirm
          </button>
          <button className="button" onClick={() => onApprove(part.approval.id, false)}>
            Decline
          </button>
        </div>
      )}
      {part.state === "approval-responded" && <p role="status">{part.approval.approved ? "Confirmed…" : "Declining…"}</p>}
    </section>
  );
}
