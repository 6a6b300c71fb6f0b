import { defineConfig } from "vitest/config";

// The build goes into the Python package, which serves it at /assets/ and finds the entry by its manifest.
export default defineConfig({
  base: "/assets/",
  publicDir: false,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../eft/http_resumable/assets",
    assetsDir: "",
    emptyOutDir: true,
    manifest: true,
    target: "es2022",
    modulePreload: false,
    // The page forbids inline anything, so that nothing may be turned into a data: address.
    assetsInlineLimit: 0,
    rolldownOptions: { input: "src/transfer.ts" },
  },
  worker: { format: "es" },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
