// Azurite's blob service on a free port, in memory. Prints {"event":"listening","url":…}; ends with standard input.
import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Azurite writes its debug files beside wherever it is started.
const folder = mkdtempSync(join(tmpdir(), "azurite-"));
process.chdir(folder);
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
process.stdin.on("end", () => process.exit(0)).resume();

const say = console.log;
console.log = (text) => {
  const url = /successfully listens on (\S+)/.exec(text)?.[1];
  if (url) say(JSON.stringify({ event: "listening", url }));
};

process.argv.push(
  "--inMemoryPersistence",
  "--skipApiVersionCheck",
  "--disableTelemetry",
  "--loose",
  "--silent",
  "--blobPort",
  "0",
);
createRequire(import.meta.url)("azurite/dist/src/blob/main.js");
