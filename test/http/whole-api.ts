import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { buildApi, storageOf } from '../../src/bin/compose.ts'
import { readConfig } from '../../src/bin/config.ts'
import type { Document } from '../../src/http/openapi-tidy.ts'
import { openDatabase, type Db } from '../../src/service/db.ts'
import { keyring } from '../processes.ts'

/** What it has logged as a failure of its own. */
export const FAILURES: string[] = []

/** The API with all its routes, as `wish-wall api` has it, without the port. */
export async function wholeApi(db: Db = openDatabase({ url: 'postgres://nobody@127.0.0.1:1/none' }), env: Record<string, string> = {}): Promise<FastifyInstance> {
  const config = readConfig({ WISHWALL_FILES_DIR: await mkdtemp(join(tmpdir(), 'wish-wall-files-')), ...env })
  return buildApi({ config, log: pino({ level: 'error' }, { write: (line: string) => void FAILURES.push(line) }), db, keyring, files: await storageOf(config) }, { checkAnswers: true })
}

/** Its document, as it is served. */
export async function wholeDocument(): Promise<Document> {
  const app = await wholeApi()
  const document = (await app.inject('/openapi.json')).json<Document>()
  await app.close()
  return document
}
