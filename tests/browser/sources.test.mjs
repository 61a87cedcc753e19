// The page of sources in a real browser: node tests/browser/sources.test.mjs BASE_URL [SCREENSHOT_FOLDER]. Prints "N passed, N failed".
// The server must have data.private_addresses set: the site that is read is this script's own.
import { createServer } from "node:http";
import { base, check, finish, newPage, problems, shot, signIn } from "./browser.mjs";

const pages = 30;
let broken = false; // one of them holds nothing to read then
const site = createServer((request, response) => {
  const number = Number(/^\/p(\d+)\.html$/.exec(request.url)?.[1] ?? -1);
  const links = Array.from({ length: pages }, (_, i) => `<a href="p${i}.html">page ${i}</a>`).join(" ");
  if (request.url !== "/" && !(number >= 0 && number < pages)) return response.writeHead(404).end();
  if (broken && number === 7) return response.writeHead(200, { "content-type": "application/pdf" }).end("%PDF-1.4 and no more");
  response.writeHead(200, { "content-type": "text/html" }).end(`<title>${number < 0 ? "Start" : `Page ${number}`}</title><main><p>${number < 0 ? links : `What page ${number} says of tents.`}</p></main>`);
});
await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
const url = `web:http://127.0.0.1:${site.address().port}/#delay_ms=100`;

await finish(async () => {
  const admin = await newPage();
  await signIn(admin, "admin@larkfield.example");
  await admin.goto(`${base}/sources`);
  const adding = admin.getByRole("form", { name: "Add a source" });
  await adding.getByLabel("Address").fill(url);
  await adding.getByLabel("Readers").fill("public");
  await adding.getByRole("button", { name: "Show what it would do" }).click();
  await adding.getByText("It would come to: 31 added.").waitFor();
  check("a look before says which documents would come", (await adding.innerText()).includes("p29.html"), await adding.innerText());
  const source = admin.getByRole("region", { name: "web:" });
  check("and brings none", (await source.count()) === 0);

  await adding.getByRole("button", { name: "Add and read" }).click();
  await source.getByText(/Reading: \d+ added so far/).waitFor();
  check("it is shown how far a reading is", true);
  await shot(admin, "11-reading");
  await source.getByText("Last time: 31 added.").waitFor();
  check("and what it came to", (await source.innerText()).includes("31 documents · read by public"), await source.innerText());

  broken = true;
  await source.getByRole("button", { name: "Read again" }).click();
  await source.getByText("Last time: 30 unchanged, 1 left out.").waitFor();
  await source.locator("summary").click();
  await source.getByText("p7.html:").waitFor();
  check("what was left out is named with the reason", /p7\.html: .{10,}/.test(await source.innerText()), await source.innerText());
  await shot(admin, "12-left-out");

  await source.getByRole("button", { name: "Remove…" }).click();
  await source.getByRole("button", { name: "Remove", exact: true }).click();
  await source.waitFor({ state: "detached" });
  check("a source is removed", true);
  problems.splice(0, problems.length, ...problems.filter((text) => !text.includes("404"))); // a new chat is not there yet
});
