import { readFile } from 'node:fs/promises'
import type { PersonActor } from '../../src/domain/actor.ts'
import { openImages } from '../../src/outside/image.ts'
import { openStorage } from '../../src/outside/storage.ts'
import { clearAttachments } from '../../src/service/attachment-clearing.ts'
import { keepUpload } from '../../src/service/attachments.ts'
import { inTenant, openDatabase } from '../../src/service/db.ts'
import { Turns } from '../../src/service/turns.ts'
import { keyring } from '../processes.ts'

/** A process that takes in a photo, or clears one away, and dies at a given point of it: not by an error, but as by kill -9. */

export const CRASHES = ['before the first file', 'in the first file', 'between the files', 'before the answer', 'clearing, before the files', 'clearing, between the files', 'clearing, before the row'] as const
export type Crash = (typeof CRASHES)[number]

interface Orders {
  url: string
  tenantId: string
  person: PersonActor
  folder: string
  photo: string
  crash: Crash
}

const die = (): Promise<never> => {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

if (process.argv[2] !== undefined) {
  const { url, tenantId, person, folder, photo, crash } = JSON.parse(process.argv[2]) as Orders
  const [db, storage] = [openDatabase({ url }), await openStorage({ folder })]
  let puts = 0
  let removals = 0
  const files = {
    ...storage,
    put: async (key: string, bytes: Buffer, type: string) => {
      if (puts === 0 && crash === 'before the first file') return die()
      if (puts === 0 && crash === 'in the first file') {
        await storage.put(key, bytes.subarray(0, 100), type)
        return die()
      }
      if (puts === 1 && crash === 'between the files') return die()
      await storage.put(key, bytes, type)
      puts++
    },
    remove: async (key: string) => {
      if (removals === 0 && crash === 'clearing, before the files') return die()
      if (removals === 1 && crash === 'clearing, between the files') return die()
      await storage.remove(key)
      removals++
      if (removals === 2 && crash === 'clearing, before the row') return die()
    },
  }
  if (crash.startsWith('clearing')) await clearAttachments({ db, files })
  else {
    const bytes = await readFile(photo)
    await inTenant(tenantId, () => keepUpload({ db, keyring, files, images: openImages(), turns: new Turns(1), quotaMib: 100 }, { bytes: bytes.length, read: async () => bytes }, person))
    await die()
  }
  console.error('it did not die')
}
