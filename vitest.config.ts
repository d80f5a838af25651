import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/cluster.ts',
    setupFiles: ['test/contract.ts'],
    // Real processes are started and killed: nothing here is a matter of milliseconds.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
})
