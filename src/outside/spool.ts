import { randomUUID } from 'node:crypto'
import { open, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Problem } from '../domain/problems.ts'

/** An upload that waits for its turn, on disk: slow senders and long queues take no memory. */
export interface Spooled {
  readonly bytes: number
  read(): Promise<Buffer>
  /** To be called once, whatever happened. */
  drop(): Promise<void>
}

/**
 * Writes what comes to a file that has no name any more: whatever ends the process, nothing stays behind.
 * @throws Problem body-too-large at the first byte beyond `mostBytes`, overloaded when the disk does not take it
 */
export async function spool(source: AsyncIterable<Uint8Array>, mostBytes: number): Promise<Spooled> {
  const file = await onDisk(nameless())
  let bytes = 0
  try {
    for await (const chunk of source) {
      bytes += chunk.length
      if (bytes > mostBytes) throw new Problem('body-too-large', { facts: { mostBytes } })
      await onDisk(file.appendFile(chunk))
    }
  } catch (error) {
    await file.close()
    throw error
  }
  return {
    bytes,
    read: async () => {
      const buffer = Buffer.allocUnsafeSlow(bytes)
      for (let at = 0; at < bytes;) {
        const { bytesRead } = await onDisk(file.read(buffer, at, bytes - at, at))
        if (bytesRead === 0) throw new Error('a spooled file has become shorter')
        at += bytesRead
      }
      return buffer
    },
    drop: () => file.close(),
  }
}

async function nameless() {
  const path = join(tmpdir(), `wish-wall-${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  try {
    await unlink(path)
  } catch (error) {
    await file.close()
    throw error
  }
  return file
}

/** Full or broken: ours to mend, and the sender may try again. */
const onDisk = <T>(work: Promise<T>): Promise<T> => work.catch((cause: unknown) => { throw new Problem('overloaded', { cause }) })
