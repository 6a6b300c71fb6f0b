// @tus/server over TLS, storing in a directory: `node server.mjs PORT DIRECTORY CERTIFICATE KEY`.
import { readFileSync } from "node:fs";
import https from "node:https";

import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const [port, directory, certificate, key] = process.argv.slice(2);
const tus = new Server({ path: "/files", datastore: new FileStore({ directory }), respectForwardedHeaders: false });
https
  .createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, tus.handle.bind(tus))
  .listen(Number(port), "127.0.0.1");
