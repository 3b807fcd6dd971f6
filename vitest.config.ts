import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    // For what hangs alone: a machine that is busy with other things makes everything ten times slower.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    reporters: ["default"],
  },
}) as unknown
