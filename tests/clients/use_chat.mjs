// The AI SDK's own transport and chat state, unmodified, against a running server: node tests/clients/use_chat.mjs BASE_URL KEY. Prints "N passed, N failed".
import { createRequire } from "node:module";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { DefaultChatTransport, readUIMessageStream, lastAssistantMessageIsCompleteWithApprovalResponses } = require("ai");
const { Chat } = require("@ai-sdk/react");
const [base, key] = process.argv.slice(2);
let passed = 0;
let failed = 0;
const check = (what, good, seen) => {
  good ? ++passed : ++failed;
  if (!good) console.log(`FAILED ${what}: ${JSON.stringify(seen)}`);
};
const transport = new DefaultChatTransport({ api: `${base}/api/chat`, headers: { authorization: `Bearer ${key}` } });
const textOf = (message) => message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");

const chatId = `test-${Date.now()}`;
const user = (text) => ({ id: `u-${Math.random()}`, role: "user", parts: [{ type: "text", text }] });
const stream = await transport.sendMessages({ chatId, messages: [user("How long do I have to return an item?")], trigger: "submit-message", abortSignal: undefined });
let last;
for await (const message of readUIMessageStream({ stream })) last = message;
check("the transport parses the stream", last?.role === "assistant" && textOf(last).includes("60 days"), last);
check("citations come as data and as sources", last.parts.some((part) => part.type === "data-citation") && last.parts.some((part) => part.type === "source-document"), last.parts.map((part) => part.type));
check("every text part is closed", last.parts.filter((part) => part.type === "text").every((part) => part.state === "done"), last.parts);
check("the metadata names the answer", last.metadata?.answer?.startsWith("run_") && last.metadata.total_us > 0, last.metadata);
check("nothing is left to resume", (await transport.reconnectToStream({ chatId })) === null);

const chat = new Chat({ id: `${chatId}-ticket`, transport, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses });
await chat.sendMessage({ text: "Please open a ticket: the zip of my tent is stuck" });
const tool = () => chat.messages.at(-1).parts.find((part) => part.type === "dynamic-tool");
check("an effect asks first", tool()?.state === "approval-requested" && chat.status === "ready", chat.messages.at(-1));
await chat.addToolApprovalResponse({ id: tool().approval.id, approved: true });
for (let i = 0; i < 100 && (chat.status !== "ready" || tool().state !== "output-available"); ++i) await new Promise((resolve) => setTimeout(resolve, 50));
check("it is done once confirmed, in the same message", tool()?.state === "output-available" && chat.messages.length === 2 && /T-\d+/.test(textOf(chat.messages.at(-1))), chat.messages);
check("no error on the way", chat.error === undefined, String(chat.error));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
