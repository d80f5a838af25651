import { erasures, replayErasures, type Erasure, type Replayed } from '../service/erasures.ts'
import type { Db } from '../service/db.ts'
import type { Log } from './session.ts'

/** The ledger outside the database. */
export interface LedgerFile {
  read(): Promise<(Omit<Erasure, 'reason'> & { reason: string })[]>
  append(lines: readonly Erasure[]): Promise<void>
}

/** Commits that were under way at the last look may be older than what it saw. */
const OVERLAP_MS = 3_600_000

export interface LedgerKeeper {
  /** One look: erases again what a restore brought back, and adds to the file what is new. */
  keep(): Promise<void>
}

/**
 * Keeps file and table alike. A file that knows more than the table means that the database was restored from a backup:
 * whoever it names is erased again before anything else.
 */
export function ledgerKeeper({ db, file, log }: { db: Db; file: LedgerFile; log: Log }): LedgerKeeper {
  let written: Set<string> | undefined
  let since: Date | null = null
  return {
    keep: async () => {
      if (!written) {
        const lines = await file.read()
        const replayed = await replayLedger(db, lines)
        if (replayed.erased > 0) log.warn({ ...replayed }, 'the database is older than the erasure ledger: erased again')
        written = new Set(lines.map(({ id }) => id))
      }
      const known = written
      const entries = await erasures(db, since)
      const fresh = entries.filter(({ id }) => !known.has(id))
      await file.append(fresh)
      for (const { id } of fresh) known.add(id)
      const last = entries.at(-1)
      if (last) since = new Date(Date.parse(last.at) - OVERLAP_MS)
    },
  }
}

/** Only what the table does not have is looked at: a ledger of years costs one query. */
export async function replayLedger(db: Db, lines: Awaited<ReturnType<LedgerFile['read']>>): Promise<Replayed> {
  const inTable = new Set((await erasures(db)).map(({ id }) => id))
  const once = new Map(lines.filter(({ id }) => !inTable.has(id)).map((line) => [line.id, line as Erasure]))
  return replayErasures(db, [...once.values()])
}
