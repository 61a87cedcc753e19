// The AI SDK's WebSocketChatTransport, unmodified, against a running server: node tests/clients/chat_socket.mjs CLIENTS BASE_URL KEY.
// Prints "N passed, N failed". CLIENTS is a folder with the packages of scripts/fetch_clients.
import { createRequire } from "node:module";

const [clients, base, key] = process.argv.slice(2);
const require = createRequire(`${clients}/package.json`);
const { WebSocketChatTransport, readUIMessageStream } = await import(require.resolve("ai"));
const { WebSocket } = require("ws");
let passed = 0;
let failed = 0;
const check = (what, good, seen) => {
  good ? ++passed : ++failed;
  if (!good) console.log(`FAILED ${what}: ${JSON.stringify(seen)}`);
};
let opened = 0;
class Signed extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers: { authorization: `Bearer ${key}` } });
    ++opened;
  }
}
const transport = new WebSocketChatTransport({ url: `${base}/api/chat/socket`, webSocket: Signed });
const user = (text) => ({ id: `u-${Math.random()}`, role: "user", parts: [{ type: "text", text }] });
const textOf = (message) => message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");
const ask = async (chatId, text, abortSignal) => transport.sendMessages({ chatId, messages: [user(text)], trigger: "submit-message", abortSignal });
const read = async (stream) => {
  let last;
  for await (const message of readUIMessageStream({ stream })) last = message;
  return last;
};

const chatId = `socket-${Date.now()}`;
const [first, second] = await Promise.all([ask(`${chatId}-a`, "How long do I have to return an item?"), ask(`${chatId}-b`, "Where is my order 10178?")]).then((streams) => Promise.all(streams.map(read)));
check("two chats are answered over one socket", textOf(first).includes("60 days") && textOf(second).length > 0 && opened === 1, [first, second, opened]);
check("citations come along", first.parts.some((part) => part.type === "data-citation"), first.parts.map((part) => part.type));
check("nothing is left to resume", (await transport.reconnectToStream({ chatId: `${chatId}-a` })) === null);

let refused;
try {
  await (await transport.sendMessages({ chatId, messages: [], trigger: "submit-message", abortSignal: undefined })).getReader().read();
} catch (error) {
  refused = String(error);
}
check("an empty request is refused by name", refused?.includes("messages"), refused);

const stop = new AbortController();
const stream = await ask(`${chatId}-c`, "Tell me everything about caring for a down sleeping bag", stop.signal);
const reader = stream.getReader();
await reader.read();
stop.abort();
let state;
for (let i = 0; i < 100 && state !== "done"; ++i) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  state = (await transport.reconnectToStream({ chatId: `${chatId}-c` })) === null ? "done" : "working";
}
check("an aborted answer stops", state === "done", state);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
