// The chat in a real browser: node tests/browser/assistant.test.mjs BASE_URL [SCREENSHOT_FOLDER]. Prints "N passed, N failed".
import { join } from "node:path";
import { base, check, finish, newPage, problems, shot, shots, signIn } from "./browser.mjs";

const ask = async (page, text) => {
  await page.getByLabel("Your message").fill(text);
  await page.keyboard.press("Enter");
};
const finished = (page) => page.getByRole("button", { name: "Send", exact: true }).waitFor();

await finish(async () => {
  const page = await newPage();
  await page.goto(`${base}/signin`);
  await page.getByLabel("E-mail").fill("mara.lindt@example.com");
  await page.getByLabel("Password").fill("wrong password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  check("a wrong password is said", (await page.getByRole("alert").innerText()).includes("wrong"));
  problems.length = 0; // the browser reports the 401 itself
  await shot(page, "1-sign-in");
  await signIn(page, "mara.lindt@example.com");
  await page.getByRole("button", { name: "Where is my last order?" }).waitFor();
  check("the greeting and suggestions are there", true);
  await shot(page, "2-empty");

  await ask(page, "How long do I have to return unused boots?");
  await page.getByRole("button", { name: "Stop" }).waitFor();
  const answer = page.getByRole("article", { name: "Answer" }).last();
  await answer.getByText("60 days").first().waitFor();
  await finished(page);
  check("the answer holds the fact", (await answer.innerText()).includes("60 days"));
  await shot(page, "3-answer");

  await answer.getByRole("button", { name: /^Source 1/ }).first().click();
  const panel = page.getByRole("dialog");
  await panel.locator("mark").waitFor();
  check("a citation opens the passage", (await panel.locator("mark").innerText()).length > 20);
  check("at the sentence that says so", (await panel.locator("mark").innerText()).includes("60 days"), await panel.locator("mark").innerText());
  await shot(page, "4-citation");
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  check("Escape closes it", true);

  await ask(page, "How much is express to Austria and until when must I order?");
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await page.reload();
  await page.getByText("17.90").first().waitFor();
  await finished(page);
  const express = page.getByRole("article", { name: "Answer" });
  check("a reload in mid-answer loses nothing", (await express.count()) === 2 && (await express.last().innerText()).includes("17.90"), await express.count());
  await express.last().getByRole("link", { name: "How this answer came about" }).waitFor();

  await ask(page, "How wide may a pot on a Wren stove be?");
  await page.getByText("24 cm").first().waitFor();
  await finished(page);
  await page.getByRole("article", { name: "Answer" }).last().getByRole("button", { name: /stove-safety|Stove/i }).first().click();
  const sheet = panel.getByRole("img", { name: /^Page \d+ of / });
  await sheet.waitFor();
  const [pixels, box, paper] = [await sheet.evaluate((image) => image.complete && image.naturalWidth), await panel.locator(".place").first().boundingBox(), await sheet.boundingBox()];
  check("a PDF is opened as its page, drawn", pixels > 300, pixels);
  check("with a box over the cited line", box && box.height > 4 && box.width > 50 && box.x >= paper.x - 1 && box.y >= paper.y - 1 && box.y + box.height <= paper.y + paper.height + 1, JSON.stringify([box, paper]));
  await shot(page, "4-citation-pdf");
  await page.keyboard.press("Escape");

  await ask(page, "Where is my order LF-20417?");
  await page.getByRole("region", { name: "Order LF-20417" }).waitFor();
  await finished(page);
  check("an order is shown as a card", (await page.getByRole("region", { name: "Order LF-20417" }).innerText()).includes("shipped"));
  await shot(page, "5-order");

  await ask(page, "Please open a ticket: my tent pole is broken");
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.getByText(/Ticket T-\d+ is open/).waitFor();
  await finished(page);
  check("a ticket is opened after confirming", true);
  check("the card carries its number once", (await page.getByRole("region", { name: "Ticket" }).count()) === 1);
  await shot(page, "6-ticket");

  await ask(page, "Do you sell kayaks?");
  await page.getByText("Shall I get a person").last().waitFor();
  await finished(page);
  check("what it does not know it says", true);

  const first = page.getByRole("article", { name: "Answer" }).first();
  await first.getByRole("button", { name: "Bad answer" }).click();
  await first.getByLabel("What was wrong?").fill("I wanted to know about worn boots");
  await first.getByRole("button", { name: "Send comment" }).click();
  await first.getByLabel("What was wrong?").waitFor({ state: "detached" });
  check("thumbs down with a comment", (await first.getByRole("button", { name: "Bad answer" }).getAttribute("aria-pressed")) === "true");
  const pedigree = await first.getByRole("link", { name: "How this answer came about" }).getAttribute("href");
  check("the chat is in the list", (await page.getByRole("navigation").getByText("How long do I have to return").count()) >= 1);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("E-mail").waitFor();
  check("signing out leads to the sign-in page", true);

  const admin = await newPage();
  await signIn(admin, "admin@larkfield.example");
  await admin.goto(base + pedigree);
  await admin.getByRole("heading", { name: "How this answer came about" }).waitFor();
  const text = await admin.locator("main").innerText();
  for (const part of ["How long do I have to return", "returns.md", "evidence", "I wanted to know about worn boots", "generate", "live", "run_"]) check(`the pedigree shows '${part}'`, text.includes(part), text.slice(0, 300));
  if (shots) await admin.screenshot({ path: join(shots, "7-pedigree.png"), fullPage: true });
  await admin.goto(`${base}/answers`);
  await admin.getByRole("link", { name: "Do you sell kayaks?" }).first().waitFor();
  check("staff see the list of answers", true);
  await shot(admin, "8-answers");

  await admin.goto(base);
  await admin.getByRole("link", { name: "Sources" }).click();
  const source = admin.getByRole("region", { name: "folder:" }).first();
  await source.waitFor();
  const documents = /(\d+) documents/.exec(await source.innerText());
  check("sources are listed with their documents", documents && Number(documents[1]) > 10, await source.innerText());
  await source.getByRole("button", { name: "Read again" }).click();
  await source.getByText(`Last time: ${documents[1]} unchanged.`).waitFor();
  check("one is read again, and it is said what that came to", true);
  await source.getByRole("button", { name: "Remove…" }).click();
  await source.getByRole("button", { name: "Keep" }).click();
  const adding = admin.getByRole("form", { name: "Add a source" });
  await adding.getByLabel("Address").fill("nowhere:x");
  await adding.getByRole("button", { name: "Show what it would do" }).click();
  await adding.getByRole("alert").waitFor();
  check("a source of no kind is refused with the kinds there are", (await adding.getByRole("alert").innerText()).includes("notion"), await adding.innerText());
  await adding.getByLabel("Address").fill("web:http://127.0.0.1:1/");
  await adding.getByRole("button", { name: "Add and read" }).click();
  await adding.getByRole("alert").filter({ hasText: "private_addresses" }).waitFor();
  check("an address that is not public is refused with the setting that allows it", true);
  await shot(admin, "9-sources");
  problems.splice(0, problems.length, ...problems.filter((seen) => !/40[034]/.test(seen)));
  const visitor = await newPage();
  await signIn(visitor, "mara.lindt@example.com");
  await visitor.goto(`${base}/sources`);
  await visitor.getByLabel("Your message").waitFor();
  check("sources are for admins", (await visitor.getByRole("link", { name: "Sources" }).count()) === 0);

  const phone = await newPage({ viewport: { width: 375, height: 720 }, colorScheme: "dark" });
  await signIn(phone, "jonas.weber@example.com");
  await ask(phone, "What is the status of LF-20420?");
  await phone.getByRole("region", { name: "Order LF-20420" }).waitFor();
  await finished(phone);
  check("no page scrolls sideways on a phone", await phone.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
  await shot(phone, "10-phone");
  await phone.getByRole("button", { name: "Open the list of chats" }).click();
  await phone.getByRole("button", { name: "Sign out" }).waitFor();
  check("the drawer opens", true);
  await phone.goto(base + pedigree);
  await phone.getByText("there is no answer", { exact: false }).waitFor();
  check("another customer's answer does not exist", true);
  problems.splice(0, problems.length, ...problems.filter((text) => !text.includes("404")));
});
