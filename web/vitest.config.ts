import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // It needs the server's program: see there.
    exclude: process.env["COMNTR_BIN"] === undefined ? ["test/server.test.ts"] : [],
    // Folders of 20,000 comments are made here, on machines that do other things too.
    testTimeout: 180_000,
  },
});
