// What the tests in a real browser share: node TEST.mjs BASE_URL [SCREENSHOT_FOLDER]. They need a server with the sample shop, and playwright-core from web/node_modules.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");
export const [base, shots] = process.argv.slice(2);
let passed = 0;
let failed = 0;
export const check = (what, good, seen = "") => {
  good ? ++passed : ++failed;
  if (!good) console.log(`FAILED ${what}: ${seen}`);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
/// What the console said was wrong.
export const problems = [];
export const newPage = async (options = {}) => {
  const page = await (await browser.newContext({ viewport: { width: 1200, height: 850 }, ...options })).newPage();
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.setDefaultTimeout(20_000);
  return page;
};
export const shot = (page, name) => (shots ? page.screenshot({ path: join(shots, `${name}.png`) }) : undefined);
export const signIn = async (page, email) => {
  await page.goto(`${base}/signin`);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill("larkfield");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Your message").waitFor();
};
/// The script's own failure counts as one. Prints "N passed, N failed".
export const finish = async (script) => {
  try {
    await script();
  } catch (error) {
    check("the script runs to its end", false, error);
  }
  check("no error in the console", problems.length === 0, problems.join(" | "));
  await browser.close();
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
};
