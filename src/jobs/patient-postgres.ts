import { setTimeout as sleep } from 'node:timers/promises'
import {
  type BackendFactory,
  PostgresConnection,
  type PostgresConnectionOptions,
  PostgresQueueBackend,
  assertSchemaCompatibility,
} from 'bullmq'

const PAUSE_MS = 500

/**
 * BullMQ 6.7 keeps a failed first connection for ever, and its worker asks again without a pause: begun before the
 * database was ready, it never yields to the event loop again. Here every failure takes a while and is forgotten.
 */
export const createPatientPostgres: BackendFactory<PostgresQueueBackend, PostgresConnectionOptions> = (name, opts) =>
  new PatientBackend(new PatientConnection(opts.connection), name, opts)

class PatientConnection extends PostgresConnection {
  #ready: Promise<void> | undefined

  override waitUntilReady(): Promise<void> {
    this.#ready ??= this.#check()
    return this.#ready
  }

  async #check() {
    try {
      await assertSchemaCompatibility(this.pool, this.schema)
    } catch (error) {
      await pause()
      this.#ready = undefined
      throw error
    }
  }
}

class PatientBackend extends PostgresQueueBackend {
  // Not `super`: it keeps a failure too, and a job that was done could then never be marked as done.
  override waitUntilReady(): Promise<void> {
    return this.connection.waitUntilReady()
  }

  override async moveToActive(token: string, name?: string) {
    try {
      return await super.moveToActive(token, name)
    } catch (error) {
      await pause()
      throw error
    }
  }
}

/** Never what keeps a stopping process up. */
const pause = () => sleep(PAUSE_MS, undefined, { ref: false })
