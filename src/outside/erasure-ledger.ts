import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * The ledger of erasures as a file of JSON lines, kept apart from the database so that no restore takes it back. Lines are
 * only ever added; several processes may add the same one.
 */
export interface LedgerFile {
  /** All lines there are; none when the file is not there. @throws Error in one line for a line that is none */
  read(): Promise<LedgerLine[]>
  /** Durable when it returns. */
  append(lines: readonly LedgerLine[]): Promise<void>
}

export interface LedgerLine {
  tenantId: string
  id: string
  personId: string
  reason: string
  actorId: string | null
  at: string
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function openLedgerFile(path: string): LedgerFile {
  return {
    read: async () => {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return ''
        throw error
      })
      const lines = text.split('\n')
      // A write that was cut off by a crash ends without its line feed, and comes again whole.
      lines.pop()
      return lines.flatMap((line, index) => (line === '' || isTorn(line) ? [] : [parsed(line, index + 1)]))
    },
    append: async (lines) => {
      if (lines.length === 0) return
      await mkdir(dirname(path), { recursive: true })
      const file = await open(path, 'a+', 0o600)
      try {
        const { size } = await file.stat()
        const { buffer } = size === 0 ? { buffer: Buffer.from('\n') } : await file.read(Buffer.alloc(1), 0, 1, size - 1)
        const torn = buffer.toString() === '\n' ? '' : '\n'
        await file.appendFile(torn + lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
        await file.sync()
      } finally {
        await file.close()
      }
    },
  }
}

/** Anything else that is no entry is another file. */
function parsed(line: string, number: number): LedgerLine {
  const entry = jsonOf(line) as Partial<LedgerLine> | undefined
  const { tenantId, id, personId, reason, actorId = null, at } = entry ?? {}
  const ids = [tenantId, id, personId].every((value) => typeof value === 'string' && UUID.test(value))
  if (!ids || typeof reason !== 'string' || typeof at !== 'string' || Number.isNaN(Date.parse(at))) throw new Error(`line ${number} of the erasure ledger is no entry`)
  return { tenantId: tenantId!, id: id!, personId: personId!, reason, actorId, at }
}

/** Begun and cut off by a crash; it stands whole further down. */
const isTorn = (line: string): boolean => line.startsWith('{"tenantId"') && jsonOf(line) === undefined

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
