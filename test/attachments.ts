import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Actor } from '../src/domain/actor.ts'
import { decide } from '../src/domain/decide.ts'
import { openImages } from '../src/outside/image.ts'
import { spool } from '../src/outside/spool.ts'
import { openStorage } from '../src/outside/storage.ts'
import type { AttachmentDeps } from '../src/service/attachments.ts'
import { commit } from '../src/service/commit.ts'
import { load } from '../src/service/load.ts'
import { Turns } from '../src/service/turns.ts'
import type { TestDatabase } from './database.ts'
import { keyring } from './processes.ts'

/** All that attachments stand on, with a folder of its own. */
export interface Shelf extends AttachmentDeps {
  folder: string
  spool: typeof spool
  /** Every file there is, by key. */
  keys(): Promise<string[]>
  close(): Promise<void>
}

export async function testShelf(database: TestDatabase, quotaMib = 100): Promise<Shelf> {
  const folder = await mkdtemp(join(tmpdir(), 'wish-wall-files-'))
  return {
    get db() { return database.db },
    keyring, folder, spool, quotaMib, images: openImages(), turns: new Turns(2), files: await openStorage({ folder }),
    keys: async () => (await readdir(folder, { recursive: true })).filter((key) => key.includes('/')).sort(),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Accepts a request, with attachments: what a verb that takes them commits. */
export async function acceptWith(database: TestDatabase, requestId: string, actor: Actor, attachments: string[]): Promise<boolean> {
  const facts = await load(database.db, requestId)
  if (!facts) throw new Error('no such request')
  const decision = decide('accept', facts, {}, actor)
  const seq = decision.events.at(-1)!.seq
  return (await commit(database.db.app, [{ ...decision, attachments: attachments.map((id) => ({ requestId: decision.request.id, seq, id })) }])).size > 0
}
