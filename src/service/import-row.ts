import type { Actor } from '../domain/actor.ts'
import type { ReadRow } from '../domain/imports.ts'
import { Problem, says } from '../domain/problems.ts'
import { inOneTransaction, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'

/**
 * Rows written as their own doors would write them: the same rules, the same rights, the same audit. In a transaction, many
 * at a time. What is there already (a sheet that was corrected and sent again) is not made a second time.
 */

export interface WriteContext {
  db: Db
  keyring: Keyring
  actor: Actor
  /** A number for the row's request. */
  number: (row: number) => Promise<string>
}

/** Of each row the id of what it made, or why it is refused; what a refused one wrote is undone. */
export type Outcomes = Map<ReadRow, string | Problem>
export type Writer = (context: WriteContext, rows: readonly ReadRow[]) => Promise<Outcomes>

export const at = (pointer: string, code: string, zh: string, en: string): Problem => new Problem('validation-failed', { errors: [{ pointer, code, message: says(zh, en) }] })

/** A refusal is of the row; anything else, and a database that is busy, is of all of them. */
export const refusal = (error: unknown): Problem => {
  if (!(error instanceof Problem) || error.kind === 'busy') throw error
  return error
}

/** One after the other, each whole or not at all. @param one returns the id of what it made */
export const each = (one: (context: WriteContext, row: ReadRow) => Promise<string>): Writer => async (context, rows) => {
  const outcomes: Outcomes = new Map()
  for (const row of rows) outcomes.set(row, await inOneTransaction(context.db, () => one(context, row)).catch(refusal))
  return outcomes
}
