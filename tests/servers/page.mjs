// Opens a page from disk in a headless Chromium and answers questions about it. The first argument is
// {"browser": path of the program, "file": path of the page, "shots": folder or null}. Standard input takes lines
// {"do": NAME, …}, each answered with {"event": "done", "value": …}; the browser ends with standard input.
//
//   evaluate {script}      the value of an expression in the page
//   click {selector}, type {selector, text}, press {key}, wheel {selector, by}, drag {selector, from, to (shares of its width)}
//   hover {selector}       moves the pointer over it
//   media {scheme}         "light" or "dark"
//   shot {name}, pdf {name}   a picture or print of the page into the folder
//   heard                  what should not have been: {requests: addresses beside the page's own, errors: console and page errors}
import puppeteer from "puppeteer-core";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { browser: executablePath, file, shots } = JSON.parse(process.argv[2]);
const say = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const own = pathToFileURL(file).href;

const browser = await puppeteer.launch({
  executablePath,
  headless: true,
  // A container has neither user namespaces nor much shared memory.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb"],
});
const page = await browser.newPage();
const requests = [], errors = [];
page.on("request", (request) => {
  if (request.url() !== own && !request.url().startsWith("data:")) requests.push(request.url());
});
page.on("console", (message) => {
  if (["error", "warn", "assert"].includes(message.type())) errors.push(message.text());
});
page.on("pageerror", (error) => errors.push(String(error)));
page.on("dialog", (dialog) => {
  errors.push(`dialog: ${dialog.message()}`);
  dialog.dismiss();
});
await page.setViewport({ width: 1200, height: 900 });
await page.goto(own, { waitUntil: "load" });

const box = async (selector) => {
  const element = await page.$(selector);
  await element.scrollIntoView();
  return element.boundingBox();
};
const actions = {
  evaluate: ({ script }) => page.evaluate(script),
  click: ({ selector }) => page.click(selector),
  type: async ({ selector, text }) => {
    await page.$eval(selector, (input) => { input.value = ""; });
    await page.type(selector, text || " ");
  },
  press: ({ key }) => page.keyboard.press(key),
  // A drawing may be made anew between looking for the element and moving there: a locator tries again.
  hover: ({ selector }) => page.locator(selector).setTimeout(10_000).hover(),
  wheel: async ({ selector, by }) => {
    const { x, y, width, height } = await box(selector);
    await page.mouse.move(x + width / 2, y + height / 2);
    await page.mouse.wheel({ deltaY: by });
  },
  drag: async ({ selector, from, to }) => {
    const { x, y, width, height } = await box(selector);
    await page.mouse.move(x + width * from, y + height * 0.7);
    await page.mouse.down();
    await page.mouse.move(x + width * to, y + height * 0.7, { steps: 5 });
    await page.mouse.up();
  },
  media: ({ scheme }) => page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]),
  shot: ({ name }) => page.screenshot({ path: join(shots, name), fullPage: true }).then(() => null),
  pdf: ({ name }) => page.pdf({ path: join(shots, name), format: "A4", preferCSSPageSize: true }).then(() => null),
  heard: () => ({ requests, errors }),
};

say("listening", {});
for await (const line of createInterface({ input: process.stdin })) {
  const action = JSON.parse(line);
  try {
    say("done", { value: (await actions[action.do](action)) ?? null });
  } catch (error) {
    say("done", { failure: String(error) });
  }
}
await browser.close();
